"""The collection in the forms that other programs read; each form is a file of its own over :mod:`prepared`."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
