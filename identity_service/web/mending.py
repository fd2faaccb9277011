"""JSON that the decoder refuses as a whole for one value, mended: in its place one that is as unusable, so that nothing else is lost."""

import re

_PAIR = rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_TEXT = rb'"(?:[^"\\]|\\.)*"?'
_HALF_PAIR = re.compile(
    rb'((?:[^"]|"(?:[^"\\]|\\[^u]|\\u(?![dD][89a-fA-F])|' + _PAIR + rb')*")*)(' + _TEXT + rb")?",
    re.DOTALL,
)
"""All that can be read, then a text with half a pair of surrogates. Each byte is looked at once or twice, whatever the bytes are."""
_HUGE_NUMBER = re.compile(
    rb'((?:[^"0-9]|' + _TEXT + rb"|[0-9]+[.eE][0-9.eE+-]*|[0-9]{1,1000}(?![0-9]))*)([0-9]+)?",
    re.DOTALL,
)
"""All that can be read, then a whole number of more digits than anything counts."""


def with_whole_texts(raw: bytes) -> bytes:
    """A text with half an emoji, after which a shop cut it, becomes a blank."""
    if b"\\ud" not in raw.lower():
        return raw
    return _HALF_PAIR.sub(lambda found: found[1] + (b'" "' if found[2] else b""), raw)


def with_bounded_numbers(raw: bytes) -> bytes:
    """A whole number of more than 1,000 digits becomes one that is beyond every limit; the decoder takes 4,300."""
    return _HUGE_NUMBER.sub(lambda found: found[1] + (b"1e9999" if found[2] else b""), raw)
