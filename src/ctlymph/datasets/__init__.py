"""Cases with CTs and annotations: layouts, folds, exports, and the public collection."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
