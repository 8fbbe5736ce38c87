"""Pictures: read, checked, split, and a made-up set that needs no download."""
