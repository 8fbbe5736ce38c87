"""Low-rank factorisation: choose layers, kinds and ranks (plan), then put factors in their place (apply)."""
