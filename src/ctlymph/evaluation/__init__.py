"""Judging detectors: matching marks with nodes, the curve, its intervals."""
