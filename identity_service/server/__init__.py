"""The process that answers: reading HTTP, the supervisor of its workers, limits that they count together, logs and metrics."""
