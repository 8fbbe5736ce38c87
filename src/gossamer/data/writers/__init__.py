"""Ways in which boxes are written, one module a layout; each is read again by the reader of its name."""
