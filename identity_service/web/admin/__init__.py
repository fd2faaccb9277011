"""Pages for a shop's staff, behind a sign-in."""
