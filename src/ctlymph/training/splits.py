"""The cases of a collection for training and testing, and their folds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ctlymph.core.errors import CtlymphError, Remedy
from ctlymph.core.regions import REGIONS
from ctlymph.datasets.case import Case, Collection
from ctlymph.datasets.folds import Folds
from ctlymph.training.cases import AnnotatedCase
from ctlymph.training.cross_validation import Split
from ctlymph.training.stage_cache import StageCache

_NEEDED = {"ct", "annotations"}


@dataclass(frozen=True)
class ChosenCases:
    """Cases of a collection that have both CT and annotations.

    Attributes:
        cases: By region; regions without any are left out.
        notes: What was left out.
    """

    cases: dict[str, list[AnnotatedCase]]
    notes: tuple[str, ...]

    @property
    def all(self) -> list[AnnotatedCase]:
        """The cases of all regions; one that is annotated in two is there twice."""
        return [case for cases in self.cases.values() for case in cases]

    @property
    def distinct(self) -> list[Case]:
        """The cases of all regions, each once."""
        return list({case.name: case.case for case in self.all}.values())


def training_cases(collection: Collection, regions: Sequence[str] = REGIONS) -> ChosenCases:
    """Return the cases to train and cross-validate on: those with CT and annotations that are not for testing only.

    Raises:
        CtlymphError: If there is none.
    """
    here = {region: collection.cases(region) for region in regions}
    chosen = _chosen(
        collection, {region: [case for case in cases if not case.is_test] for region, cases in here.items()}
    )
    tests = sorted({case.name for cases in here.values() for case in cases if case.is_test})
    note = f"for testing only, never trained on: {_listed(tests)}"
    return replace(chosen, notes=(*chosen.notes, note)) if tests else chosen


def test_cases(collection: Collection, region: str) -> ChosenCases:
    """Return the cases to test on, with CT and annotations: those of the test split, or all where there is none.

    Raises:
        CtlymphError: If there is none.
    """
    cases = collection.cases(region)
    return _chosen(collection, {region: [case for case in cases if case.is_test] or cases})


def _chosen(collection: Collection, cases: Mapping[str, Sequence[Case]]) -> ChosenCases:
    found: dict[str, list[AnnotatedCase]] = {}
    left_out: list[str] = []
    for region, here in cases.items():
        whole = [AnnotatedCase(case, region) for case in here if case.has >= _NEEDED]
        left_out += [case.name for case in here if not case.has >= _NEEDED]
        if whole:
            found[region] = whole
    if not found:
        raise CtlymphError(
            f"{collection.folder} holds no case of the {' or '.join(cases)} with both CT and annotations",
            Remedy.DOWNLOAD,
            kinds="ct,annotations,masks",
        )
    count = len(left_out)
    notes = (f"{count} cases are left out, without CT or annotations: {_listed(left_out)}",) if count else ()
    return ChosenCases(found, (*collection.notes, *notes))


def make_splits(
    stage_cache: StageCache, chosen: ChosenCases, folds: Folds, extra_train: Sequence[Collection] = ()
) -> dict[str, Split]:
    """Read all cases and split them, for each region.

    Args:
        stage_cache: Where they are kept.
        chosen: The cases.
        folds: Of every case; all cases of a patient in the same.
        extra_train: Collections for training in every round, never for testing.

    Raises:
        CtlymphError: If a case is in no fold, those of a patient are in several, or no case can be read.
    """
    folds.check(chosen.distinct)
    unreadable = stage_cache.load(chosen.all)
    if len(unreadable) == len(chosen.all):
        raise CtlymphError(f"no case can be read; {next(iter(unreadable.items()))[1]}")
    more = _extra_train(stage_cache, extra_train, list(chosen.cases))
    return {region: Split(cases, folds, unreadable, chosen.all, more) for region, cases in chosen.cases.items()}


def _extra_train(
    stage_cache: StageCache, collections: Sequence[Collection], regions: Sequence[str]
) -> list[AnnotatedCase]:
    """Read the cases of further collections and return those that can be read, region by region."""
    cases = [
        AnnotatedCase(case, region)
        for region in regions
        for collection in collections
        for case in collection.cases(region)
        if case.has >= _NEEDED and not case.is_test
    ]
    unreadable = stage_cache.load(cases)
    return [case for case in cases if case.name not in unreadable]


def _listed(names: Sequence[str], count: int = 5) -> str:
    more = f" and {len(names) - count} more" if len(names) > count else ""
    return ", ".join(names[:count]) + more
