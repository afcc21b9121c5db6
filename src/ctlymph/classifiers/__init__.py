"""Classifiers: a candidate's surroundings → a score."""
