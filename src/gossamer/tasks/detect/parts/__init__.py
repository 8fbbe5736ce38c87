"""What detectors are made of (torch): backbones, necks, heads, coders, assigners, losses, and the table of detectors."""
