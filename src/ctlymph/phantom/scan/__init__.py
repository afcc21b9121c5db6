"""The scanner that images synthetic patients."""
