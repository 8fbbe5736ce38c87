"""Blocks every architecture is built of, and the network they make."""
