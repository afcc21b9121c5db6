"""The table of detectors: adding one is adding a file and a line here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ctlymph.errors import CtlymphError
from ctlymph.nodes import Mark
from ctlymph.progress import Progress
from ctlymph.regions import Region
from ctlymph.volume import Volume


@dataclass(frozen=True)
class Method:
    """A detector by name.

    Attributes:
        name: What ``--model`` calls it.
        summary: One line on how it works.
        trained_on: One sentence on its training data, shown wherever its output is.
        threshold: Score from which on its marks count as nodes unless the user says otherwise.
        find: Marks by falling score in one region of a CT.
    """

    name: str
    summary: str
    trained_on: str
    threshold: float
    find: Callable[[Volume, Region, Progress], list[Mark]]


def _blobs(volume: Volume, region: Region, progress: Progress) -> list[Mark]:
    from ctlymph.candidates.blobs import find_blobs

    return find_blobs(volume, region, progress=progress)


METHODS = {
    method.name: method
    for method in (
        Method(
            name="blobs",
            summary="Round soft-tissue spots at several scales, by the eigenvalues of the Hessian.",
            trained_on="blobs is a rule, not trained on any data; its scores rank marks and are not probabilities.",
            threshold=0.45,
            find=_blobs,
        ),
    )
}
DEFAULT = "blobs"


def method(name: str) -> Method:
    """Look a detector up.

    Raises:
        CtlymphError: If there is none of that name.
    """
    if name not in METHODS:
        raise CtlymphError(f"there is no model {name!r}; choose one of: {', '.join(METHODS)}")
    return METHODS[name]
