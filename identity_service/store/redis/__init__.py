"""The client: one connection a server, many calls in one write, Sentinel and Cluster behind one face."""
