"""Lossy steps, each planned, applied and guarded: precision now; structure and codes arrive with parts 5 and 6."""
