"""Numbers of a picture."""
