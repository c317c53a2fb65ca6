"""stage/load."""
