"""The task `compass`: where something points, in degrees."""
