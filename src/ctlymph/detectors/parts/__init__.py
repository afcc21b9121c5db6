"""What detectors are built of and share."""
