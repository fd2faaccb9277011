"""A store of its own that the service starts, keeps running, backs up and ends."""
