"""Segmentation of detected nodes, their sizes, and Node-RADS."""
