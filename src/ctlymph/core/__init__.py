"""What everything stands on: volumes and their geometry, nodes, regions, contours, morphology, errors."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
