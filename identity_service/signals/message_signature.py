"""HTTP message signatures (RFC 9421): reads the fields of a signature, and makes the bytes that it signs.

Only what Web Bot Auth needs of structured fields (RFC 9651): dictionaries of items and of inner lists, in their canonical form, because the
signed bytes repeat them as they were sent. Anything else is unreadable, such as a repeated parameter. Every read is linear in the length of
the field, and what a stranger may repeat is capped, because one message must not cost as much as many calls.
"""

import re
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice

LONGEST_FIELD = 4_096
"""Characters of a field, and of the value of any component. Signatures that need a longer one are not checked."""
MOST_MEMBERS = 8
"""Of a dictionary: labels of signatures, and names of agents."""
MOST_PARAMETERS = 16
"""Of a member or of a component. A signature of Web Bot Auth has six."""
MOST_COMPONENTS = 16
"""That a signature covers."""

STRING = r'"(?:[ !#-\[\]-~]|\\["\\])*+"'
BARE = rf"(?:{STRING}|:[A-Za-z0-9+/=]*+:|-?[0-9]{{1,15}}+(?:\.[0-9]{{1,3}})?|\?[01]|[A-Za-z*][A-Za-z0-9!#$%&'*+.^_`|~:/-]*+)"
KEY = r"[a-z*][a-z0-9_.*-]*+"
PARAMETERS = rf"(?:;{KEY}(?:={BARE})?){{0,{MOST_PARAMETERS}}}+"
STRING_ITEM = re.compile(STRING)
ESCAPED = re.compile(r"\\(.)")
INTEGER = re.compile(r"-?[0-9]{1,15}")
ITEM = re.compile(rf"({STRING})({PARAMETERS})")
MEMBER = re.compile(rf"({KEY})=((?:\((?:{STRING}{PARAMETERS}(?: {STRING}{PARAMETERS})*+)?\)|{BARE}))({PARAMETERS})")
PARAMETER = re.compile(rf";({KEY})(?:=({BARE}))?")
SEPARATOR = re.compile(r"[ \t]*+,[ \t]*+")


@dataclass(frozen=True, slots=True)
class Member:
    """A member of a dictionary as it was sent. `value`: an item, or an inner list in brackets. `parameters`: with their semicolons.
    `named`: the same by name."""

    value: str
    parameters: str
    named: Mapping[str, str]

    @property
    def raw(self) -> str:
        return self.value + self.parameters


def parameters_of(text: str) -> dict[str, str] | None:
    """Parameters by name, each as it was sent. None if one is repeated."""
    found = PARAMETER.findall(text)
    named = dict(found)
    return named if len(named) == len(found) else None


def members_of(text: str) -> dict[str, Member] | None:
    """A dictionary field. None if it cannot be read, repeats a member or a parameter, or has too many."""
    found: dict[str, Member] = {}
    at, text = 0, text.strip(" \t")
    while True:
        match = MEMBER.match(text, at)
        named = parameters_of(match[3]) if match else None
        if match is None or named is None or match[1] in found or len(found) == MOST_MEMBERS:
            return None
        found[match[1]] = Member(match[2], match[3], named)
        if match.end() == len(text):
            return found
        separator = SEPARATOR.match(text, match.end())
        if separator is None:
            return None
        at = separator.end()


def text_of(item: str | None) -> str | None:
    """The text of a string item. None for another type."""
    if item is None or not STRING_ITEM.fullmatch(item):
        return None
    return ESCAPED.sub(r"\1", item[1:-1])


def integer_of(item: str | None) -> int | None:
    return int(item) if item is not None and INTEGER.fullmatch(item) else None


def bytes_of(item: str | None) -> bytes | None:
    """The bytes of a byte sequence in its canonical form."""
    if item is None or not item.startswith(":"):
        return None
    try:
        return b64decode(item[1:-1], validate=True)
    except ValueError:
        return None


@dataclass(frozen=True)
class SignedMessage:
    """The request as the signer sent it, as far as it is known. `authority`: host, with its port unless it is the scheme's. `target`: path
    with its query. `fields`: headers by name in lower case."""

    authority: str | None
    method: str | None = None
    target: str | None = None
    fields: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def agents(self) -> Mapping[str, Member]:
        """The members of `Signature-Agent`. They are read once, however many components name them. Empty if they cannot be read."""
        return members_of(self.fields.get("signature-agent", "")) or {}

    @cached_property
    def _derived(self) -> Mapping[str, str | None]:
        path, mark, query = (self.target or "").partition("?")
        return {
            "@authority": self.authority,
            "@method": self.method,
            "@path": path or None,
            "@query": f"?{query}" if self.target else None,
            "@request-target": self.target,
            "@target-uri": f"https://{self.authority}{path}{mark}{query}" if self.authority and self.target else None,
        }

    def component(self, name: str, parameters: str) -> str | None:
        """The value of a component. None if it is not known, too long, or of a kind that is not read."""
        if name == "signature-agent" and parameters:
            named = parameters_of(parameters) or {}
            member = self.agents.get(text_of(named.get("key")) or "")
            return member.raw if member and named.keys() == {"key"} else None
        if parameters:
            return None
        found = self._derived.get(name) if name.startswith("@") else self.fields.get(name)
        return None if found is None or len(found) > LONGEST_FIELD or "\n" in found else found.strip(" \t")


def components_of(covered: Member) -> list[tuple[str, str]] | None:
    """Name and parameters of each component that a signature covers. None if there are too many, or one repeats a parameter."""
    found = [(text_of(one[1]) or "", one[2]) for one in islice(ITEM.finditer(covered.value), MOST_COMPONENTS + 1)]
    if len(found) > MOST_COMPONENTS or any(parameters_of(parameters) is None for _, parameters in found):
        return None
    return found


def signature_base(message: SignedMessage, covered: Member) -> bytes | None:
    """The bytes that are signed. None if a component is not known, or they cannot be read."""
    components, lines = components_of(covered), []
    if components is None:
        return None
    for name, parameters in components:
        value = message.component(name, parameters)
        if value is None:
            return None
        lines.append(f'"{name}"{parameters}: {value}')
    return "\n".join([*lines, f'"@signature-params": {covered.raw}']).encode("utf-8", "replace")
