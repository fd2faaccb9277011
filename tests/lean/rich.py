"""As if the library were not installed, as where the service runs. The tests' tools need it, and structlog would import it at each start."""

raise ImportError
