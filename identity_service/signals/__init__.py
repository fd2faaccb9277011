"""Consent signals of banners, standards and browsers. `reader` is the entry point; each standard has its own file."""
