"""The operating system: opening files without following links, syncing them, and what to do about its errors."""
