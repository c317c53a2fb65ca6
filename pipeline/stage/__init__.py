"""The one place that owns the device."""
