"""The zoo: one table of names, one file a paper."""
