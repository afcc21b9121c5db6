"""Training of detectors on the cases of a dataset, by cross-validation; results are cached so that work can resume."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
