"""Readers of detections and of the ground truth, in all formats."""
