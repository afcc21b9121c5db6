"""The table of detectors: adding one is adding a file and a line here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from ctlymph.core.errors import CtlymphError
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


@dataclass(frozen=True)
class Published:
    """A figure from a method's paper.

    Attributes:
        sensitivity: By false positives per CT.
        on: What it was measured on, and what makes it differ from a measurement here.
    """

    sensitivity: Mapping[float, float]
    on: str


@dataclass(frozen=True)
class Method:
    """A detector by name.

    Attributes:
        name: What models, benchmarks and training call it.
        summary: One line on how it works.
        systems: Its stages, by region.
        published: What its paper reports, by region.
        threshold: Score from which on marks count as nodes, of a rule; a trained model has its own.
        network: Whether it learns with PyTorch, which takes long without a GPU.
    """

    name: str
    summary: str
    systems: Mapping[str, System]
    published: Mapping[str, Published] = field(default_factory=dict)
    threshold: float | None = None
    network: bool = False

    @property
    def is_trainable(self) -> bool:
        """Whether it must be trained before it can be used."""
        return any(system.is_trainable for system in self.systems.values())

    def in_steps(self, steps: int) -> Method:
        """Give it with networks that learn in another number of steps."""
        return replace(self, systems={region: system.in_steps(steps) for region, system in self.systems.items()})


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
            "Mediastinum: voxels by a random forest with the places of organs, candidates by a committee of machines.",
            {MEDIASTINUM: System(liu2014.STAGES)},
            {MEDIASTINUM: Published({8: 0.88}, "70 patients with 316 nodes, not all of this collection")},
        ),
        Method(
            "cherry2014",
            "Abdomen: voxels by a random forest, candidates by a support vector machine.",
            {ABDOMEN: System(cherry2014.STAGES)},
            {ABDOMEN: Published({15: 0.798}, "30 patients with 119 nodes")},
        ),
        Method(
            "seff2014-max",
            "Candidates seen in 27 slices, a linear machine on histograms of gradients; the greatest score counts.",
            _after(_GENERATORS, seff2014.stages("max")),
        ),
        Method(
            "seff2014-mean",
            "The same; the mean score counts.",
            _after(_GENERATORS, seff2014.stages("mean")),
        ),
        Method(
            "seff2014",
            "The same; a second, sparse linear machine fuses the 27 scores.",
            _after(_GENERATORS, seff2014.stages("fused")),
            _SEFF2014,
        ),
        Method(
            "seff2015",
            "Slices with channels that show learned contours of nodes; templates by size.",
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
            "Candidates seen in a hundred random views, each scored by a small network; the mean counts.",
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
            "The whole region by a 3D network that sees surroundings coarsely, and segments nodes.",
            {region: System(iuga2021.STAGES) for region in _BOTH},
            {MEDIASTINUM: Published({10.3: 0.769}, "4-fold on 89 of the collection's CTs, own reference masks")},
            network=True,
        ),
        Method(
            "lymphnet",
            "The whole region in one pass of a 3D network: centres, sizes, masks.",
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
"""What ``detect`` uses unless told otherwise: the model of that name which comes with the package."""


_NETWORKS_ALONE = ("iuga2021", "lymphnet")
"""Networks whose candidates are their own, so that no classical method comes before them."""


def check_can_learn(methods: Iterable[Method]) -> None:
    """Check that the libraries that methods are trained with are installed, before hours of work begin.

    Raises:
        CtlymphError: If one is absent.
    """
    for each in methods:
        classical = ("sklearn", "skops") if each.is_trainable and each.name not in _NETWORKS_ALONE else ()
        check_installed(*classical, *(("torch",) if each.network else ()), purpose=each.name)


def method(name: str) -> Method:
    """Look a detector up.

    Raises:
        CtlymphError: If there is none of that name.
    """
    if name not in METHODS:
        raise CtlymphError(f"there is no method {name!r}; choose one of: {', '.join(METHODS)}")
    return METHODS[name]
