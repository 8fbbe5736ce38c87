"""gossamer train: one network by one recipe."""
