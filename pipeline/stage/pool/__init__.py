"""stage/pool."""
