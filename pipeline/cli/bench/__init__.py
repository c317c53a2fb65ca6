"""cli/bench."""
