"""Searching counts within a budget: strategies that know nothing of what is counted, and their account."""
