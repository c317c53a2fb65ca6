"""Files to pictures, pictures to files, and colour."""
