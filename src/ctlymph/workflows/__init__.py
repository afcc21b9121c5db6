"""One workflow a command, each readable from top to bottom."""
