"""Backbones that only detectors have: networks of stem and stages without a classifier."""
