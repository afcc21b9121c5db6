"""Lymph nodes in CT: found, measured, compared. For research use, not for diagnosis."""
