"""Ways in which pictures and targets lie on disk, one module a layout."""
