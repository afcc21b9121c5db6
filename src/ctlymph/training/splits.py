"""The cases of a collection that can be learned from, dealt out to folds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ctlymph.core.errors import CtlymphError, Remedy
from ctlymph.core.regions import REGIONS
from ctlymph.datasets.case import Collection
from ctlymph.datasets.folds import Folds
from ctlymph.training.cases import AnnotatedCase
from ctlymph.training.cross_validation import Split
from ctlymph.training.stage_cache import StageCache


@dataclass(frozen=True)
class Usable:
    """The cases of a collection that have both CT and annotations.

    Attributes:
        cases: By region, those regions without any left out.
        notes: What was left out.
    """

    cases: dict[str, list[AnnotatedCase]]
    notes: tuple[str, ...]

    @property
    def all(self) -> list[AnnotatedCase]:
        """The cases of all regions."""
        return [case for cases in self.cases.values() for case in cases]


def usable(collection: Collection, regions: Sequence[str] = REGIONS) -> Usable:
    """Choose the cases with CT and annotations.

    Raises:
        CtlymphError: If there is none.
    """
    found: dict[str, list[AnnotatedCase]] = {}
    left_out = []
    for region in regions:
        there = collection.cases(region)
        cases = [AnnotatedCase(case, region) for case in there if {"ct", "annotations"} <= case.has]
        left_out += [case.name for case in there if not {"ct", "annotations"} <= case.has]
        if cases:
            found[region] = cases
    if not found:
        raise CtlymphError(
            f"{collection.folder} holds no case of the {' or '.join(regions)} with both CT and annotations",
            Remedy.DOWNLOAD,
            kinds="ct,annotations,masks",
        )
    count = len(left_out)
    notes = (f"{count} cases are left out, without CT or annotations: {_first(left_out)}",) if count else ()
    return Usable(found, (*collection.notes, *notes))


def splits(
    stage_cache: StageCache, chosen: Usable, folds: Folds, extra_train: Sequence[Collection] = ()
) -> dict[str, Split]:
    """Read all cases and deal them out.

    Args:
        stage_cache: Where they are kept.
        chosen: The cases.
        folds: They must name every case.
        extra_train: Collections that are learned from in every round, and never tested on.

    Raises:
        CtlymphError: If a case is in none, or none can be worked on.
    """
    for case in chosen.all:
        folds.fold_of(case.name)
    unreadable = stage_cache.load(chosen.all)
    if len(unreadable) == len(chosen.all):
        raise CtlymphError(f"no case can be worked on; {next(iter(unreadable.items()))[1]}")
    more = _extra_train(stage_cache, extra_train, list(chosen.cases))
    return {region: Split(cases, folds, unreadable, chosen.all, more) for region, cases in chosen.cases.items()}


def _extra_train(
    stage_cache: StageCache, collections: Sequence[Collection], regions: Sequence[str]
) -> list[AnnotatedCase]:
    """Read the cases of further collections, and give those that can be worked on, region by region."""
    cases = [
        AnnotatedCase(case, region)
        for region in regions
        for collection in collections
        for case in collection.cases(region)
        if {"ct", "annotations"} <= case.has
    ]
    unreadable = stage_cache.load(cases)
    return [case for case in cases if case.name not in unreadable]


def _first(names: Sequence[str], at_most: int = 5) -> str:
    more = f" and {len(names) - at_most} more" if len(names) > at_most else ""
    return ", ".join(names[:at_most]) + more
