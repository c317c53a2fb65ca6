"""Whether this machine and these folders can do the work, before the night that needs them."""
