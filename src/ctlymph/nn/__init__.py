"""Neural networks: trained in PyTorch, exported to OpenVINO, run there on processors and by PyTorch on GPUs."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
