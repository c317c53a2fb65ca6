"""stage/paint."""
