"""Zeros in weights: unstructured, N of M, and the shrinking of whole channels before they are pruned."""
