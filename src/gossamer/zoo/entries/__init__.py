"""The rows of the catalogue, family by family. No torch here."""
