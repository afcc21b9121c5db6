"""Every method under one protocol: cross-validated, judged, and shown on one page."""
