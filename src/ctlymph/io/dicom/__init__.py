"""DICOM: reading CTs, segmentations and reports, and writing them."""
