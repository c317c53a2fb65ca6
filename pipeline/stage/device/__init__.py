"""stage/device."""
