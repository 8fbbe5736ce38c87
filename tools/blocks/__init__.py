"""What `draw_blocks.py` is made of: the case and its table, diagrams and charts of the blocks."""
