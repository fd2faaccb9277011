"""Pages for the people of a shop, behind a sign-in."""
