"""Names of cases: what they mean in the public collection, and which case a file is of."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_WITHOUT_CASE = ("nodes", "truth", "masks", "mask", "ct", "image")  # files so named stand in a folder named as the case


def case_of(word: str) -> str:
    """Give the case of the public collection that a SeriesInstanceUID means; any other word is a name itself."""
    from ctlymph.datasets.ct_lymph_nodes.catalogue import catalogue

    series = catalogue().series_of_uid(word)
    return series.case if series else word


def case_of_file(path: Path, suffix: str) -> str:
    """Give the case of ``CASE.SUFFIX``, or of ``CASE/nodes.SUFFIX`` and the like."""
    stem = path.name[: len(path.name) - len(suffix)]
    return path.absolute().parent.name if stem in _WITHOUT_CASE else stem


def patient_of(case: str) -> str:
    """Give a name that all cases of one patient share: in the public collection, some scans have two names."""
    from ctlymph.datasets.ct_lymph_nodes.catalogue import catalogue

    return catalogue().patient_of(case)


def region_of(case: str) -> str:
    """Give the region that is annotated in a case of the public collection; empty for others."""
    from ctlymph.datasets.ct_lymph_nodes.catalogue import catalogue

    entry = catalogue().entry(case)
    return entry.region if entry else ""


def indices(words: Sequence[str]) -> tuple[tuple[str, ...], NDArray[np.int32]]:
    """Give the cases that words name, in the order in which they come, and for each word the index of its case."""
    cases: dict[str, int] = {}
    known: dict[str, int] = {}
    for word in words:
        if word not in known:
            known[word] = cases.setdefault(case_of(word), len(cases))
    return tuple(cases), np.fromiter((known[word] for word in words), dtype=np.int32, count=len(words))
