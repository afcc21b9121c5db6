"""Reading and writing, one format a module: DICOM, images, tables, points of 3D Slicer and MITK."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
