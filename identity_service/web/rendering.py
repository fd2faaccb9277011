"""HTML from the templates, where every value is escaped, and the headers that go with it: no inline script, no foreign host, no frame."""

from datetime import UTC, datetime
from functools import cache

from jinja2 import Environment, PackageLoader
from markupsafe import Markup

from identity_service.service.health import every
from identity_service.web.visit import rfc3339

HTML = "text/html; charset=utf-8"
POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; "
    b"base-uri 'none'; frame-ancestors 'none'"
)
PAGE_HEADERS = ((b"content-security-policy", POLICY), (b"referrer-policy", b"same-origin"))
"""The policy on referrers lets browsers name the origin with a form; with none at all they name it `null`."""


@cache
def _environment() -> Environment:
    found = Environment(loader=PackageLoader("identity_service.web"), autoescape=True, trim_blocks=True, lstrip_blocks=True)
    found.policies["json.dumps_kwargs"] = {}  # lines of a chart keep their order
    found.filters["moment"] = moment
    found.filters["every"] = every
    return found


def rendered(template: str, **values: object) -> bytes:
    return _environment().get_template(template).render(**values).encode()


def moment(time: int | str, form: str = "%Y-%m-%d %H:%M") -> Markup:
    """Seconds since 1970, or RFC 3339, as people read it: to the minute, in UTC."""
    text = rfc3339(time) if isinstance(time, int) else time
    read = datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).strftime(form)
    return Markup('<time datetime="{}">{}</time>').format(text, read)
