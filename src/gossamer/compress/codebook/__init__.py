"""The smallest file: what a network's tensors may lose for it, chosen and measured.

`steps` and `feedback` choose what is lost; `calibrate` (torch) measures what a network makes of it. The file itself is the
runtime `packed`.
"""
