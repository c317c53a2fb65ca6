"""stage/save."""
