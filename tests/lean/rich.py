"""As if the library were not installed, as where the service runs. The tests' tools need it, and structlog imports it where it can."""

raise ImportError
