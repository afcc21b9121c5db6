"""Lymph nodes in CT: detection, measurement and follow-up. For research use, not for diagnosis.

Read a CT, detect or measure its lymph nodes, write the results:

>>> import ctlymph
>>> ct = ctlymph.read("CT_FOLDER")                              # doctest: +SKIP
>>> nodes = ctlymph.detect(ct, region="mediastinum")            # doctest: +SKIP
>>> nodes = ctlymph.measure(ct, "masks.nii.gz")                 # doctest: +SKIP
>>> ctlymph.write_results("OUT", nodes)                         # doctest: +SKIP

Follow them over time, and evaluate a detector:

>>> course = ctlymph.follow(["CT_JANUARY", "CT_APRIL"])         # doctest: +SKIP
>>> curve = ctlymph.evaluate("OUT/nodes.csv", "COLLECTION")     # doctest: +SKIP

Names load when first used, so that ``import ctlymph`` takes no time.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
