"""images/metadata."""
