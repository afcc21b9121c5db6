"""The benchmark: methods cross-validated on a collection, then trained on all of it and tested on other data."""

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
from ctlymph.evaluation.detections import Detections, GroundTruth
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
from ctlymph.training.cross_validation import OutOfFold, Split, cross_validate, detections_of
from ctlymph.training.external_predictions import ExternalPredictions, read_predictions
from ctlymph.training.splits import make_splits, test_cases, training_cases
from ctlymph.training.stage_cache import StageCache, TrainingCase

STANDARD = ("blobs", "liu2014", "cherry2014", "seff2014-max", "seff2014-mean", "seff2014", "seff2015")
"""Methods that are compared by default, each expected to be no worse than the one before."""


@dataclass(frozen=True)
class BenchmarkPlan:
    """What to compare, and on which data.

    Attributes:
        collection: Annotated cases, for cross-validation.
        folds: Of these cases.
        methods: The methods; the others are compared with the first.
        predictions: Made by other programs on these folds; they are compared in the cross-validation only.
        regions: Regions to search.
        inject: Also evaluate classifiers alone, with candidates placed on nodes that generators missed.
        resampling: For the intervals.
        test_collections: Collections for testing what was trained on all cases of ``collection``.
        cts: CTs without annotations, for pictures of what is found there.
        extra_train: Collections for training in every round, never for testing.
    """

    collection: Collection
    folds: Folds
    methods: tuple[Method, ...] = tuple(METHODS[name] for name in STANDARD)
    predictions: tuple[ExternalPredictions, ...] = ()
    regions: tuple[str, ...] = REGIONS
    inject: bool = False
    resampling: Resampling = field(default_factory=Resampling)
    test_collections: tuple[Collection, ...] = ()
    cts: tuple[Path, ...] = ()
    extra_train: tuple[Collection, ...] = ()

    def __post_init__(self) -> None:
        names = [*(method.name for method in self.methods), *(each.name for each in self.predictions)]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise CtlymphError(f"{twice} is compared twice; name each method and predictions once, by different names")


@dataclass(frozen=True)
class Cost:
    """Seconds for a CT (median) and most memory in MB; NaN where not known."""

    seconds: float
    peak_mb: float


@dataclass(frozen=True, eq=False)
class Comparison:
    """Detectors evaluated on the same cases of one region.

    Attributes:
        title: What was tested on.
        region: Which region.
        evaluation: By one protocol.
        steps: Each detector less the one before it: their names and the difference.
        methods: By name; predictions of other programs have none.
        costs: By name of the method.
        notes: What a reader must know.
        scans: The CTs, cut to what lies around the region.
    """

    title: str
    region: str
    evaluation: Evaluation
    steps: tuple[tuple[str, str, Difference], ...]
    methods: Mapping[str, Method]
    costs: Mapping[str, Cost]
    notes: tuple[str, ...]
    scans: Scans


@dataclass(frozen=True, eq=False)
class BenchmarkReport:
    """All comparisons of a benchmark.

    Attributes:
        plan: What was compared.
        cross_validated: One a region.
        tested: On the test cases of the collection, and on other collections.
        unannotated: On CTs without annotations, where every mark counts as false.
    """

    plan: BenchmarkPlan
    cross_validated: tuple[Comparison, ...]
    tested: tuple[Comparison, ...]
    unannotated: tuple[Comparison, ...]


def run(plan: BenchmarkPlan, stage_cache: StageCache) -> BenchmarkReport:
    """Run a benchmark.

    Raises:
        CtlymphError: If no method can be tested in any region, or predictions do not fit the folds.
    """
    check_can_train(plan.methods)
    chosen = training_cases(plan.collection, plan.regions)
    by_region = make_splits(stage_cache, chosen, plan.folds, plan.extra_train)
    cross_validated, tested, unannotated = [], [], []
    for region, split in by_region.items():
        external = _external(plan, split)  # first: what does not fit is refused before hours of training
        predicted, failed = _cross_validate(plan, stage_cache, split, region)
        notes = (*chosen.notes, *failed)
        cross_validated.append(_cross_validated(plan, stage_cache, split, predicted, external, notes))
        methods = [method for method in plan.methods if method.name in predicted]
        trained = _TrainedOnAll(plan, stage_cache, split, {method.name: method.systems[region] for method in methods})
        for collection in (plan.collection, *plan.test_collections):
            if (comparison := trained.test(collection)) is not None:
                tested.append(comparison)
        if plan.cts and (comparison := trained.search(plan.cts)) is not None:
            unannotated.append(comparison)
    return BenchmarkReport(plan, tuple(cross_validated), tuple(tested), tuple(unannotated))


def _external(plan: BenchmarkPlan, split: Split) -> list[Detections]:
    cases = [case.name for case in split.readable]
    return [read_predictions(each, cases, plan.folds) for each in plan.predictions]


def _cross_validate(
    plan: BenchmarkPlan, stage_cache: StageCache, split: Split, region: str
) -> tuple[dict[str, OutOfFold], tuple[str, ...]]:
    """Cross-validate each method of a region; also return a note on each that failed."""
    predicted: dict[str, OutOfFold] = {}
    failed = []
    for method in plan.methods:
        if region in method.systems:
            try:
                predicted[method.name] = cross_validate(stage_cache, method.systems[region], split, inject=plan.inject)
            except CtlymphError as error:
                failed.append(f"{method.name} could not be tested: {error}")
    if not predicted and not plan.predictions:
        raise CtlymphError(failed[0] if failed else f"none of these methods is for the {region}")
    return predicted, tuple(failed)


def _cross_validated(
    plan: BenchmarkPlan,
    stage_cache: StageCache,
    split: Split,
    predicted: Mapping[str, OutOfFold],
    external: Sequence[Detections],
    notes: Sequence[str],
) -> Comparison:
    region = split.cases[0].region
    truth = read_ground_truth(plan.collection.folder, tuple(case.name for case in split.cases))
    detections = [*(detections_of(name, split, each) for name, each in predicted.items()), *external]
    evaluation = evaluate_region(detections, truth, region, _protocol(plan))
    notes = (*notes, *_unreadable(split))
    return _comparison("cross-validated", evaluation, plan, predicted, split.cases, stage_cache, notes)


@dataclass(frozen=True)
class _TrainedOnAll:
    """Methods trained on all cases of a split, tested on others."""

    plan: BenchmarkPlan
    stage_cache: StageCache
    split: Split
    systems: Mapping[str, System]

    def test(self, collection: Collection) -> Comparison | None:
        """Test them on another collection, or on the test cases of their own; None if it has none of the region."""
        region = self.split.cases[0].region
        is_own = collection is self.plan.collection
        here = [case for case in collection.cases(region) if case.is_test or not is_own]
        if not self.systems or not any({"ct", "annotations"} <= case.has for case in here):
            return None
        chosen = test_cases(collection, region)
        cases = chosen.cases[region]
        split = Split(cases, self.split.folds, self.stage_cache.load(cases))
        predicted = self._predict(split.readable)
        truth = read_ground_truth(collection.folder, tuple(case.name for case in cases))
        detections = [detections_of(name, split, each) for name, each in predicted.items()]
        evaluation = evaluate_region(detections, truth, region, _protocol(self.plan))
        title = "test cases" if is_own else collection.folder.name
        notes = (*chosen.notes, *_unreadable(split))
        return _comparison(title, evaluation, self.plan, predicted, cases, self.stage_cache, notes)

    def search(self, cts: Sequence[Path]) -> Comparison | None:
        """Let them mark CTs without annotations; None where none shows the region."""
        region = self.split.cases[0].region
        given = [UnannotatedCase(path, region) for path in cts]
        unreadable = self.stage_cache.load(given)
        cases = [case for case in given if case.name not in unreadable]
        if not self.systems or not cases:
            return None
        predicted = self._predict(cases)
        split = Split(cases, self.split.folds)
        evaluation = evaluate_detections(
            [detections_of(name, split, each) for name, each in predicted.items()],
            GroundTruth.from_points(dict.fromkeys([case.name for case in cases], ())),
            _protocol(self.plan),
        )
        notes = [f"{name} is left out: {why}" for name, why in unreadable.items()]
        title = "CTs without annotations"
        return _comparison(title, evaluation, self.plan, predicted, cases, self.stage_cache, notes)

    def _predict(self, cases: Sequence[TrainingCase]) -> dict[str, OutOfFold]:
        predicted = {}
        for name, system in self.systems.items():
            models = self.stage_cache.fit(system, self.split.train_cases(None, joint=system.joint))
            of_cases = self.stage_cache.predict(system.stages, models, cases)
            predicted[name] = OutOfFold({case.name: each for case, each in zip(cases, of_cases, strict=True)}, {})
        return predicted


def _protocol(plan: BenchmarkPlan) -> Protocol:
    return Protocol(MatchingRules(), plan.resampling)


def _unreadable(split: Split) -> list[str]:
    return [f"{name} gets no marks: {why}" for name, why in split.unreadable.items()]


def _comparison(
    title: str,
    evaluation: Evaluation,
    plan: BenchmarkPlan,
    predicted: Mapping[str, OutOfFold],
    cases: Sequence[TrainingCase],
    stage_cache: StageCache,
    notes: Sequence[str],
) -> Comparison:
    alone = [result for result in evaluation.results if result.mode == END_TO_END]
    scans: dict[str, Callable[[], Volume]] = {case.name: partial(_volume, stage_cache, case) for case in cases}
    return Comparison(
        title=title,
        region=cases[0].region,
        evaluation=evaluation,
        steps=_steps(alone, evaluation.protocol.resampling),
        methods={method.name: method for method in plan.methods},
        costs={name: _cost(each) for name, each in predicted.items()},
        notes=tuple(dict.fromkeys(notes)),
        scans=scans,
    )


def _volume(stage_cache: StageCache, case: TrainingCase) -> Volume:
    return stage_cache.context(case)[0].volume


def _steps(alone: Sequence[DetectorResult], resampling: Resampling) -> tuple[tuple[str, str, Difference], ...]:
    return tuple(
        (before.detector, after.detector, difference(before.matches, after.matches, resampling))
        for before, after in pairwise(alone)
    )


def _cost(predicted: OutOfFold) -> Cost:
    seconds = [each.seconds for each in predicted.predictions.values()]
    peaks = [each.peak_mb for each in predicted.predictions.values()]
    return Cost(float(np.median(seconds)) if seconds else float("nan"), max(peaks, default=float("nan")))
