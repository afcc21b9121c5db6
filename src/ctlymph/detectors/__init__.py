"""Detectors of lymph nodes, one file a method of the literature."""
