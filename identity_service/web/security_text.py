"""/.well-known/security.txt (RFC 9116): where people report a vulnerability."""

from identity_service.model.utc import DAY, rfc3339
from identity_service.settings.schema import ServerSettings
from identity_service.store import Clock
from identity_service.web.call import Reply
from identity_service.web.pages import PageCall, PageHandler


def security_text(server: ServerSettings, clock: Clock) -> PageHandler:
    """`Expires` moves on with the day, since a service that runs has its settings read. The RFC wants it less than a year ahead."""

    async def answer(_: PageCall) -> Reply:
        expires = (int(clock()) // DAY + server.security_days) * DAY
        lines = [f"Contact: {server.security_contact}", f"Expires: {rfc3339(expires)}"]
        if server.security_languages:
            lines.append(f"Preferred-Languages: {', '.join(server.security_languages)}")
        return Reply("".join(f"{line}\n" for line in lines).encode(), media="text/plain; charset=utf-8")

    return answer
