"""Use cases: identify a visitor, grant, track, sell, link, prove, export, erase, report. They know the store, and nothing of HTTP."""
