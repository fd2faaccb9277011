"""The requests of real plugins, and what must arrive of each."""
