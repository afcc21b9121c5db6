"""Networks at work: written once in layers, run by OpenVINO on processors and by PyTorch where there is a GPU."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
