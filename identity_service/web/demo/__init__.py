"""A shop to try the service, with development settings only."""
