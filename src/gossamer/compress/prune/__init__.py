"""Structured pruning: choose channels (plan), then cut them (apply)."""
