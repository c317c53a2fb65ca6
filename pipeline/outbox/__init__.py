"""Results on disk: published atomically, described by metadata, remembered by key."""
