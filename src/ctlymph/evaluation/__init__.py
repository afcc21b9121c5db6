"""Evaluation of detectors: matching detections with nodes, the free-response curve, metrics with intervals."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
