"""From what a user hands in to pairs."""
