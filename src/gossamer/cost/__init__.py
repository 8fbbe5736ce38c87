"""What a network costs, counted: formulas, networks, files."""
