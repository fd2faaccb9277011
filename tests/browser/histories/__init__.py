"""Random histories of one person's browser: the real snippet in several tabs, the real service, and a network that fails."""
