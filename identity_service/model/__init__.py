"""The nouns: visitors, consent, policy, handles, links, events, shops, tokens. No I/O but for the shipped regions: times and randomness
are arguments."""
