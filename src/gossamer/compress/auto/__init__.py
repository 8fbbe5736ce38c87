"""Automatic pruning ratios: how much of each layer to keep, searched within an exact budget of macs."""
