"""A shop to try the service with. It needs the development settings."""
