"""HTTP message signatures (RFC 9421): reads the fields of a signature, and makes the bytes that it signs.

Only what Web Bot Auth needs of structured fields (RFC 9651): dictionaries of items and of inner lists, in their canonical form, because the
signed bytes repeat them as they were sent. Anything else is unreadable, and every read is linear in the length of the field.
"""

import re
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass, field

STRING = r'"(?:[ !#-\[\]-~]|\\["\\])*+"'
BARE = rf"(?:{STRING}|:[A-Za-z0-9+/=]*+:|-?[0-9]{{1,15}}+(?:\.[0-9]{{1,3}})?|\?[01]|[A-Za-z*][A-Za-z0-9!#$%&'*+.^_`|~:/-]*+)"
KEY = r"[a-z*][a-z0-9_.*-]*+"
PARAMETERS = rf"(?:;{KEY}(?:={BARE})?)*+"
ITEM = re.compile(rf"({STRING})({PARAMETERS})")
MEMBER = re.compile(rf"({KEY})=((?:\((?:{STRING}{PARAMETERS}(?: {STRING}{PARAMETERS})*+)?\)|{BARE}))({PARAMETERS})")
PARAMETER = re.compile(rf";({KEY})(?:=({BARE}))?")
SEPARATOR = re.compile(r"[ \t]*+,[ \t]*+")
MOST_MEMBERS = 8


@dataclass(frozen=True, slots=True)
class Member:
    """A member of a dictionary as it was sent. `value`: an item, or an inner list in brackets. `parameters`: with their semicolons."""

    value: str
    parameters: str

    @property
    def raw(self) -> str:
        return self.value + self.parameters

    def named(self) -> dict[str, str]:
        """Its parameters by name, each as it was sent. Of a repeated one the last counts."""
        return dict(PARAMETER.findall(self.parameters))


def members_of(text: str) -> dict[str, Member] | None:
    """A dictionary field. None if it cannot be read, repeats a member, or has too many."""
    found: dict[str, Member] = {}
    at, text = 0, text.strip(" \t")
    while True:
        match = MEMBER.match(text, at)
        if match is None or match[1] in found or len(found) == MOST_MEMBERS:
            return None
        found[match[1]] = Member(match[2], match[3])
        if match.end() == len(text):
            return found
        separator = SEPARATOR.match(text, match.end())
        if separator is None:
            return None
        at = separator.end()


def text_of(item: str | None) -> str | None:
    """The text of a string item. None for another type."""
    if item is None or not re.fullmatch(STRING, item):
        return None
    return re.sub(r"\\(.)", r"\1", item[1:-1])


def integer_of(item: str | None) -> int | None:
    return int(item) if item is not None and re.fullmatch(r"-?[0-9]{1,15}", item) else None


def bytes_of(item: str | None) -> bytes | None:
    """The bytes of a byte sequence in its canonical form."""
    if item is None or not item.startswith(":"):
        return None
    try:
        return b64decode(item[1:-1], validate=True)
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class SignedMessage:
    """The request as the signer sent it, as far as it is known. `authority`: host, with its port unless it is the scheme's. `target`: path
    with its query. `fields`: headers by name in lower case."""

    authority: str | None
    method: str | None = None
    target: str | None = None
    fields: Mapping[str, str] = field(default_factory=dict)

    def component(self, name: str, parameters: str) -> str | None:
        """The value of a component. None if it is not known, or of a kind that is not read."""
        if name == "signature-agent" and parameters:
            members, named = members_of(self.fields.get(name, "")), dict(PARAMETER.findall(parameters))
            member = (members or {}).get(text_of(named.get("key")) or "")
            return member.raw if member and named.keys() == {"key"} else None
        if parameters:
            return None
        path, mark, query = (self.target or "").partition("?")
        derived = {
            "@authority": self.authority,
            "@method": self.method,
            "@path": path or None,
            "@query": f"?{query}" if self.target else None,
            "@request-target": self.target,
            "@target-uri": f"https://{self.authority}{path}{mark}{query}" if self.authority and self.target else None,
        }
        found = derived.get(name) if name.startswith("@") else self.fields.get(name)
        return None if found is None or "\n" in found else found.strip(" \t")


def components_of(covered: Member) -> list[tuple[str, str]]:
    """Name and parameters of each component that a signature covers."""
    return [(text_of(name) or "", parameters) for name, parameters in ITEM.findall(covered.value)]


def signature_base(message: SignedMessage, covered: Member) -> bytes | None:
    """The bytes that are signed. None if a component is not known."""
    lines = []
    for name, parameters in components_of(covered):
        value = message.component(name, parameters)
        if value is None:
            return None
        lines.append(f'"{name}"{parameters}: {value}')
    return "\n".join([*lines, f'"@signature-params": {covered.raw}']).encode("utf-8", "replace")
