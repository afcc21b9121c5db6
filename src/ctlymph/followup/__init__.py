"""Nodes over time: registration, matching, RECIST."""
