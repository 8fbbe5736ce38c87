"""The method `auto`: how many channels each layer keeps, searched; environment, drivers, and layer times."""
