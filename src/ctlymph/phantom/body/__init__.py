"""The body of a synthetic patient."""
