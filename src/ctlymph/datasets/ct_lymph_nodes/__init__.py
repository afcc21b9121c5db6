"""The public collection CT Lymph Nodes: what it holds, how to get it, check it, read it and hand it on."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
