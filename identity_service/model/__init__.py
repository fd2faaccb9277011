"""The nouns: visitors, consent, policy, handles, links, events, shops, tokens. No I/O; times and randomness are arguments."""
