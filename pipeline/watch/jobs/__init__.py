"""watch/jobs."""
