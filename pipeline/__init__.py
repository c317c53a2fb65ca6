"""impasto: batch neural style transfer that gives every photograph its own colours back."""

__version__ = "0.1.0"
