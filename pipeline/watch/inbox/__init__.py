"""watch/inbox."""
