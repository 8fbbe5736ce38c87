"""gossamer compress: methods one after the other under a guard."""
