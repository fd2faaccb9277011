"""Every way in which a call can fail, one class each under one root. `server/problems.py` writes them as answers, which
`web.endpoint.error_reply` sends."""


class ServiceError(Exception):
    """`detail` is sent to the caller. It says what to do next, and never repeats an email, an address, a token or a key. `cookies` are
    sent with the error, so that the device remembers a refusal even while the store is down."""

    status = 500
    code = "internal"
    title = "Internal error"

    def __init__(self, detail: str = "", *, retry_after: int | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.retry_after = retry_after
        self.cookies: tuple[str, ...] = ()


class Malformed(ServiceError):
    status, code, title = 400, "malformed", "The request cannot be read"


class Unauthorized(ServiceError):
    status, code, title = 401, "unauthorized", "The key is missing or wrong"


class Forbidden(ServiceError):
    status, code, title = 403, "forbidden", "The key may not do this"


class NotFound(ServiceError):
    status, code, title = 404, "not_found", "There is nothing at this address"


class MethodNotAllowed(ServiceError):
    status, code, title = 405, "method_not_allowed", "This address does not accept this method"


class TooSlow(ServiceError):
    status, code, title = 408, "too_slow", "The request took too long to arrive"


class ConsentRequired(ServiceError):
    status, code, title = 409, "consent_required", "The visitor's consent does not allow this"


class TooLarge(ServiceError):
    status, code, title = 413, "too_large", "The body is too large"


class TargetTooLong(ServiceError):
    status, code, title = 414, "target_too_long", "The address with its query is too long"


class UnsupportedMedia(ServiceError):
    status, code, title = 415, "unsupported_media", "The body's format is not supported"


class Invalid(ServiceError):
    status, code, title = 422, "invalid", "A member has an invalid value"


class RateLimited(ServiceError):
    status, code, title = 429, "rate_limited", "Too many calls"


class HeadersTooLarge(ServiceError):
    status, code, title = 431, "headers_too_large", "The headers are too many or too large"


class StoreUnavailable(ServiceError):
    """The store refused or did not answer in time. It is unknown whether a write happened, so the caller repeats the call. `reason`: a
    `Cause` of the store, for operators alone."""

    status, code, title = 503, "store_unavailable", "The store cannot be reached"

    def __init__(
        self, detail: str = "Repeat the call after the time in Retry-After.", *, retry_after: int = 1, reason: str = "other"
    ) -> None:
        super().__init__(detail, retry_after=retry_after)
        self.reason = reason


class StoreRefused(StoreUnavailable):
    """The store does not belong to this service. `detail` tells operators why."""


class UnknownVersion(ServiceError):
    status, code, title = 505, "unknown_version", "This version of HTTP is not supported"


class SettingsError(Exception):
    """`faults` has one line for each wrong setting."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults
