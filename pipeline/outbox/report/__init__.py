"""What became of the pairs of an outbox, as one page: index.html, which needs nothing else to be read."""
