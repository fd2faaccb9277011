"""What banners, standards and browsers say about consent, read as signals. `reader` is the way in; each standard has its own file."""
