"""The lymph nodes of a synthetic patient."""
