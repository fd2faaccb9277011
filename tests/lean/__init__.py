"""Modules that stand before those of the same name on the path of services that tests start."""
