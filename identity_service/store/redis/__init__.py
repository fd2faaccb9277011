"""The client: one connection per server, many calls in one write, and one interface for one server, Sentinel and Cluster."""
