"""Which channels belong together: labels follow the data through a network, rules say how operators move them."""
