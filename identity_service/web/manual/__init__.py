"""The manual: Markdown pages beside this file, which are read in the repository and served under /docs."""
