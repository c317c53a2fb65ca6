"""images/colour."""
