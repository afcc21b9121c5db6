"""Synthetic collections on disk."""
