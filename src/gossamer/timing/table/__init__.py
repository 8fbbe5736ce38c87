"""The time of whole networks from a table of timed blocks."""
