"""Synthetic patients with known lymph nodes, as CTs with masks; and synthetic nodes in real CTs."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
