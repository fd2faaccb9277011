"""The US Privacy string of the IAB: four characters, replaced by GPP but still sent.

Source: github.com/InteractiveAdvertisingBureau/USPrivacy, "US Privacy String": version, notice, opt-out of sale, LSPA.
"""

import re

_STRING = re.compile(r"1[YN-]([YN-])[YN-]")
_OPT_OUT = {"Y": True, "N": False}


def us_privacy_opt_out(text: str) -> bool | None:
    """False says only "not opted out so far"; None is a string that does not apply or cannot be read."""
    read = _STRING.fullmatch(text)
    return _OPT_OUT.get(read[1]) if read else None
