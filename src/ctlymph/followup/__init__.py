"""Nodes over time: registration of CTs, matching of nodes, response by RECIST 1.1."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
