"""What takes how long, and how much memory: measured in turns, taken apart by node, predicted from blocks."""
