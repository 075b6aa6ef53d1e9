"""`audit`: how far fast test-time rules are from the expectation, and what to do."""
