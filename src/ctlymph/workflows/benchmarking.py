"""The work of a benchmark: methods cross-validated on a collection, and tried on what they have never seen."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np

from ctlymph.core.errors import CtlymphError
from ctlymph.core.regions import REGIONS
from ctlymph.core.volume import Volume
from ctlymph.datasets.case import Collection
from ctlymph.datasets.folds import Folds
from ctlymph.detectors.base import System
from ctlymph.detectors.method import Method
from ctlymph.detectors.registry import METHODS, check_can_train
from ctlymph.evaluation.bootstrap import Difference, Resampling, difference
from ctlymph.evaluation.detections import GroundTruth
from ctlymph.evaluation.matching import MatchingRules
from ctlymph.evaluation.protocol import (
    END_TO_END,
    DetectorResult,
    Evaluation,
    Protocol,
    evaluate_detections,
    evaluate_region,
)
from ctlymph.evaluation.readers.cts import Scans
from ctlymph.evaluation.readers.ground_truth_files import read_ground_truth
from ctlymph.training.cases import UnannotatedCase
from ctlymph.training.cross_validation import OutOfFold, Split, cross_validate, marks_of
from ctlymph.training.splits import splits, usable, usable_tests
from ctlymph.training.stage_cache import Case, StageCache

STANDARD = ("blobs", "liu2014", "cherry2014", "seff2014-max", "seff2014-mean", "seff2014", "seff2015")
"""Methods that are compared unless others are named, each expected to be no worse than the one before."""


@dataclass(frozen=True)
class Plan:
    """What to compare, on what.

    Attributes:
        collection: Cases with known nodes, for cross-validation.
        folds: Of these cases.
        methods: The methods, the first being what the others are compared with.
        regions: Where.
        inject: Also judge classifiers alone, with candidates put onto nodes that generators missed.
        resampling: For the intervals.
        others: Collections that nobody learns from, judged by what was learned from all cases of ``collection``.
        cts: CTs without known nodes, tried in the same way.
        extra_train: Collections that are learned from in every round, and never tested on.
    """

    collection: Collection
    folds: Folds
    methods: tuple[Method, ...] = tuple(METHODS[name] for name in STANDARD)
    regions: tuple[str, ...] = REGIONS
    inject: bool = False
    resampling: Resampling = field(default_factory=Resampling)
    others: tuple[Collection, ...] = ()
    cts: tuple[Path, ...] = ()
    extra_train: tuple[Collection, ...] = ()


@dataclass(frozen=True)
class Cost:
    """What a method takes for a CT: seconds (the middle case), and MB of memory at most; NaN where not known."""

    seconds: float
    peak_mb: float


@dataclass(frozen=True, eq=False)
class Comparison:
    """Methods judged on the same cases of one region.

    Attributes:
        title: What was judged.
        region: Where.
        evaluation: By one protocol.
        steps: Each method less the one before it: their names and what differs.
        costs: By method.
        notes: What a reader must know.
        scans: The CTs, as far as they lie around the region.
    """

    title: str
    region: str
    evaluation: Evaluation
    steps: tuple[tuple[str, str, Difference], ...]
    costs: Mapping[str, Cost]
    notes: tuple[str, ...]
    scans: Scans


@dataclass(frozen=True, eq=False)
class Report:
    """All comparisons of a benchmark.

    Attributes:
        plan: What was asked for.
        crossed: One a region, cross-validated.
        others: Of the other collections.
        tried: Of CTs without known nodes, where every mark counts as false.
    """

    plan: Plan
    crossed: tuple[Comparison, ...]
    others: tuple[Comparison, ...]
    tried: tuple[Comparison, ...]


def run(plan: Plan, stage_cache: StageCache) -> Report:
    """Do a benchmark.

    Raises:
        CtlymphError: If no method can be tested in any region.
    """
    check_can_train(plan.methods)
    chosen = usable(plan.collection, plan.regions)
    by_region = splits(stage_cache, chosen, plan.folds, plan.extra_train)
    crossed, others, tried = [], [], []
    for region, split in by_region.items():
        tested, failed = _cross(plan, stage_cache, split, region)
        crossed.append(_crossed(plan, stage_cache, split, tested, (*chosen.notes, *failed)))
        beyond = _Beyond(
            plan,
            stage_cache,
            split,
            {method.name: method.systems[region] for method in plan.methods if method.name in tested},
        )
        others += [each for other in (plan.collection, *plan.others) if (each := beyond.judged(other)) is not None]
        if plan.cts and (each := beyond.tried(plan.cts)) is not None:
            tried.append(each)
    return Report(plan, tuple(crossed), tuple(others), tuple(tried))


def _cross(
    plan: Plan, stage_cache: StageCache, split: Split, region: str
) -> tuple[dict[str, OutOfFold], tuple[str, ...]]:
    """Cross-validate each method of a region; give what failed, and why, beside."""
    tested: dict[str, OutOfFold] = {}
    failed = []
    for method in plan.methods:
        if region in method.systems:
            try:
                tested[method.name] = cross_validate(stage_cache, method.systems[region], split, inject=plan.inject)
            except CtlymphError as error:
                failed.append(f"{method.name} could not be tested: {error}")
    if not tested:
        raise CtlymphError(failed[0] if failed else f"none of these methods is for the {region}")
    return tested, tuple(failed)


def _crossed(
    plan: Plan, stage_cache: StageCache, split: Split, tested: Mapping[str, OutOfFold], notes: Sequence[str]
) -> Comparison:
    region = split.cases[0].region
    truth = read_ground_truth(plan.collection.folder, tuple(case.name for case in split.cases))
    unreadable = [f"{name} gets no marks: {why}" for name, why in split.unreadable.items()]
    marks = [marks_of(name, split, each) for name, each in tested.items()]
    evaluation = evaluate_region(marks, truth, region, _protocol(plan))
    return _comparison("cross-validated", evaluation, tested, split.cases, stage_cache, (*notes, *unreadable))


@dataclass(frozen=True)
class _Beyond:
    """Methods that have learned from all cases of a trial, and are tried on others."""

    plan: Plan
    stage_cache: StageCache
    split: Split
    systems: Mapping[str, System]

    def judged(self, other: Collection) -> Comparison | None:
        """Judge them on another collection, or on the test cases of their own; None where none is of the region."""
        region = self.split.cases[0].region
        is_own = other is self.plan.collection
        here = [case for case in other.cases(region) if case.is_test or not is_own]
        if not any({"ct", "annotations"} <= case.has for case in here):
            return None
        chosen = usable_tests(other, region)
        cases = chosen.cases[region]
        unreadable = self.stage_cache.load(cases)
        split = Split(cases, self.split.folds, unreadable)
        tested = self._tested([case for case in cases if case.name not in unreadable])
        truth = read_ground_truth(other.folder, tuple(case.name for case in cases))
        marks = [marks_of(name, split, each) for name, each in tested.items()]
        evaluation = evaluate_region(marks, truth, region, _protocol(self.plan))
        notes = (*chosen.notes, *(f"{name} gets no marks: {why}" for name, why in unreadable.items()))
        title = "test cases" if is_own else other.folder.name
        return _comparison(title, evaluation, tested, cases, self.stage_cache, notes)

    def tried(self, cts: Sequence[Path]) -> Comparison | None:
        """Let them mark CTs whose nodes nobody knows; None where none holds the region."""
        region = self.split.cases[0].region
        given = [UnannotatedCase(path, region) for path in cts]
        unreadable = self.stage_cache.load(given)
        cases = [case for case in given if case.name not in unreadable]
        if not cases:
            return None
        tested = self._tested(cases)
        split = Split(cases, self.split.folds)
        names = tuple(case.name for case in cases)
        evaluation = evaluate_detections(
            [marks_of(name, split, each) for name, each in tested.items()],
            GroundTruth.from_points(dict.fromkeys(names, ())),
            _protocol(self.plan),
        )
        notes = [f"{name} is left out: {why}" for name, why in unreadable.items()]
        return _comparison("CTs whose nodes nobody has marked", evaluation, tested, cases, self.stage_cache, notes)

    def _tested(self, cases: Sequence[Case]) -> dict[str, OutOfFold]:
        found = {}
        for name, system in self.systems.items():
            models = self.stage_cache.fit(system, self.split.but_fold(None, joint=system.joint))
            given = self.stage_cache.predict(system.stages, models, cases)
            found[name] = OutOfFold({case.name: each for case, each in zip(cases, given, strict=True)}, {})
        return found


def _protocol(plan: Plan) -> Protocol:
    return Protocol(MatchingRules(), plan.resampling)


def _comparison(
    title: str,
    evaluation: Evaluation,
    tested: Mapping[str, OutOfFold],
    cases: Sequence[Case],
    stage_cache: StageCache,
    notes: Sequence[str],
) -> Comparison:
    alone = [result for result in evaluation.results if result.mode == END_TO_END]
    scans: dict[str, Callable[[], Volume]] = {case.name: partial(_volume, stage_cache, case) for case in cases}
    return Comparison(
        title,
        cases[0].region,
        evaluation,
        _steps(alone, evaluation.protocol.resampling),
        {name: _cost(each) for name, each in tested.items()},
        tuple(dict.fromkeys(notes)),
        scans,
    )


def _volume(stage_cache: StageCache, case: Case) -> Volume:
    return stage_cache.context(case)[0].volume


def _steps(alone: Sequence[DetectorResult], resampling: Resampling) -> tuple[tuple[str, str, Difference], ...]:
    return tuple(
        (before.detector, after.detector, difference(before.matches, after.matches, resampling))
        for before, after in pairwise(alone)
    )


def _cost(tested: OutOfFold) -> Cost:
    seconds = [each.seconds for each in tested.found.values()]
    peaks = [each.peak_mb for each in tested.found.values()]
    return Cost(float(np.median(seconds)) if seconds else float("nan"), max(peaks, default=float("nan")))
