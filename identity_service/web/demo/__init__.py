"""A shop to try the service with, in development settings only."""
