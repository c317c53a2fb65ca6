"""watch/spool."""
