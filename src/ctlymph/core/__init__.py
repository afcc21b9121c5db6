"""What everything stands on: volumes and their geometry, nodes, regions, contours, morphology, errors."""
