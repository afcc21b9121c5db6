"""Synthetic patients with known lymph nodes."""
