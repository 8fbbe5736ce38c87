"""Training on Lightning: recipe, module, loop."""
