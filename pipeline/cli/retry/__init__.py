"""cli/retry."""
