"""The table of detectors: adding one is adding a file and a line here.

Methods of other packages join it through entry points (:mod:`ctlymph.detectors.plugins`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache

from ctlymph.core.errors import UsageError
from ctlymph.core.extras import check_installed
from ctlymph.core.regions import ABDOMEN, MEDIASTINUM
from ctlymph.detectors import (
    blobs,
    cherry2014,
    iuga2021,
    liu2014,
    lymphnet,
    nih_candidates,
    roth2014,
    seff2014,
    seff2015,
    shin2016,
)
from ctlymph.detectors.base import Stage, System
from ctlymph.detectors.method import Method, Published
from ctlymph.detectors.plugins import Plugins, load_plugins

_GENERATORS = {MEDIASTINUM: liu2014.STAGES, ABDOMEN: cherry2014.STAGES}
_BOTH = (MEDIASTINUM, ABDOMEN)


def _after(generators: Mapping[str, tuple[Stage, ...]], classifier: tuple[Stage, ...]) -> dict[str, System]:
    return {region: System(generators[region], classifier) for region in _BOTH}


_NIH = {region: (nih_candidates.PublishedCandidates(),) for region in _BOTH}
_OWN_CANDIDATES = "the collection's CTs, with candidates of its authors"
_SEFF2014 = {
    MEDIASTINUM: Published({6: 0.780, 10: 0.861}, f"6-fold on {_OWN_CANDIDATES}"),
    ABDOMEN: Published({6: 0.731, 10: 0.872}, f"6-fold on {_OWN_CANDIDATES}"),
}
_SEFF2015 = {
    region: Published({3: 0.78}, f"{_OWN_CANDIDATES}; read off as about 78 %, against 60 % of a single channel")
    for region in _BOTH
}

_ROTH2014 = {
    MEDIASTINUM: Published({3: 0.70, 6: 0.84}, f"3-fold on {_OWN_CANDIDATES}, missed nodes added to them"),
    ABDOMEN: Published({3: 0.83, 6: 0.90}, f"3-fold on {_OWN_CANDIDATES}, missed nodes added to them"),
}
_SHIN2016 = {
    MEDIASTINUM: Published({3: 0.86}, f"{_OWN_CANDIDATES}; its best network, 85 to 86 %"),
    ABDOMEN: Published({3: 0.70}, f"{_OWN_CANDIDATES}; from memory"),
}

METHODS = {
    method.name: method
    for method in (
        Method(
            "blobs",
            "Round soft-tissue spots at several scales, by the eigenvalues of the Hessian: a rule.",
            {region: System((blobs.Blobs(),)) for region in _BOTH},
            threshold=0.45,
        ),
        Method(
            "liu2014",
            "Mediastinum: voxels by a random forest that knows where organs are, candidates by an ensemble of SVMs.",
            {MEDIASTINUM: System(liu2014.STAGES)},
            {MEDIASTINUM: Published({8: 0.88}, "70 patients with 316 nodes, not all of this collection")},
        ),
        Method(
            "cherry2014",
            "Abdomen: voxels by a random forest, candidates by an SVM.",
            {ABDOMEN: System(cherry2014.STAGES)},
            {ABDOMEN: Published({15: 0.798}, "30 patients with 119 nodes")},
        ),
        Method(
            "seff2014-max",
            "Candidates in 27 slices, a linear SVM on histograms of gradients; the greatest score counts.",
            _after(_GENERATORS, seff2014.stages("max")),
        ),
        Method(
            "seff2014-mean",
            "The same; the mean score counts.",
            _after(_GENERATORS, seff2014.stages("mean")),
        ),
        Method(
            "seff2014",
            "The same; a second, sparse linear SVM fuses the 27 scores.",
            _after(_GENERATORS, seff2014.stages("fused")),
            _SEFF2014,
        ),
        Method(
            "seff2015",
            "Slices with channels of learned node contours; templates by size.",
            _after(_GENERATORS, seff2015.STAGES),
            _SEFF2015,
        ),
        Method(
            "roth2014-1",
            "As roth2014, by one view alone.",
            _after(_GENERATORS, roth2014.stages(1)),
            network=True,
        ),
        Method(
            "roth2014-10",
            "The same, by ten views.",
            _after(_GENERATORS, roth2014.stages(10)),
            network=True,
        ),
        Method(
            "roth2014",
            "Candidates in a hundred random views, each scored by a small network; the mean counts.",
            _after(_GENERATORS, roth2014.stages()),
            _ROTH2014,
            network=True,
        ),
        Method(
            "shin2016-alex",
            "The same views, larger, through an AlexNet.",
            _after(_GENERATORS, shin2016.ALEXNET),
            network=True,
        ),
        Method(
            "shin2016",
            "The same through a residual network.",
            _after(_GENERATORS, shin2016.RESIDUAL),
            _SHIN2016,
            network=True,
        ),
        Method(
            "iuga2021",
            "The whole region by a 3D network that segments nodes and takes in their surroundings coarsely.",
            {region: System(iuga2021.STAGES) for region in _BOTH},
            {MEDIASTINUM: Published({10.3: 0.769}, "4-fold on 89 of the collection's CTs, own reference masks")},
            network=True,
        ),
        Method(
            "lymphnet",
            "The whole region in one pass of a 3D network: centres and sizes.",
            {region: System(lymphnet.STAGES, joint=True) for region in _BOTH},
            network=True,
        ),
        Method(
            "nih-candidates",
            "The candidates that the collection publishes, without scores.",
            {region: System(stages) for region, stages in _NIH.items()},
            threshold=0.5,
        ),
        Method(
            "nih-seff2014",
            "Those candidates, scored as in seff2014.",
            _after(_NIH, seff2014.stages("fused")),
            _SEFF2014,
        ),
        Method(
            "nih-seff2015",
            "Those candidates, scored as in seff2015.",
            _after(_NIH, seff2015.STAGES),
            _SEFF2015,
        ),
        Method(
            "nih-roth2014",
            "Those candidates, scored as in roth2014.",
            _after(_NIH, roth2014.stages()),
            _ROTH2014,
            network=True,
        ),
        Method(
            "nih-shin2016",
            "Those candidates, scored as in shin2016.",
            _after(_NIH, shin2016.RESIDUAL),
            _SHIN2016,
            network=True,
        ),
    )
}
DEFAULT = "lymphnet"
"""What ``detect`` uses by default: the model of that name that comes with the package."""


@cache
def plugins() -> Plugins:
    """Return the methods of other packages, imported once, and notes on those that cannot be used."""
    return load_plugins(METHODS)


def all_methods() -> dict[str, Method]:
    """Return the methods of this package and of others, by name."""
    return {**METHODS, **plugins().methods}


def method(name: str) -> Method:
    """Return a method by its name; other packages are imported only if it is none of this package.

    Raises:
        UsageError: If there is none of that name.

    Example:
        >>> method("blobs").is_trainable
        False
    """
    if name in METHODS:
        return METHODS[name]
    known = all_methods()
    if name not in known:
        notes = "".join(f" ({note})" for note in plugins().notes)
        raise UsageError(f"there is no method {name!r}; choose one of: {', '.join(known)}{notes}")
    return known[name]


def check_can_train(methods: Iterable[Method]) -> None:
    """Check that the libraries that training methods takes are installed, before hours of work begin.

    Raises:
        CtlymphError: If one is absent.
    """
    for each in methods:
        torch = ("torch",) if each.network else ()
        check_installed(*torch, "sklearn", "skops", purpose=each.name)  # the cache keeps all models by skops
