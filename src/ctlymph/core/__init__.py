"""The types that all other packages use: volumes and their geometry, nodes, results, regions, errors, progress."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
