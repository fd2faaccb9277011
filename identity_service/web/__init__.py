"""Calls: `routes` lists them, `endpoint` is the way of each, `calls/` holds their bodies, handlers and answers. HTTP ends here."""
