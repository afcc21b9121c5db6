"""Training: a method is cross-validated on a collection, then trained on all its cases and written into a folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ctlymph.core.errors import CtlymphError, UsageError
from ctlymph.datasets.case import Collection
from ctlymph.datasets.ct_lymph_nodes.catalogue import TITLE
from ctlymph.datasets.folds import make_folds
from ctlymph.detectors.base import Configurable, System
from ctlymph.detectors.calibration import calibrated, log_odds, sigmoid_through
from ctlymph.detectors.method import Method
from ctlymph.detectors.model_store import (
    ModelCard,
    RegionCard,
    describe_stage,
    ending_of,
    read_model,
    read_weights,
    write_card,
    write_stage,
)
from ctlymph.detectors.registry import check_can_train
from ctlymph.evaluation.bootstrap import Resampling
from ctlymph.evaluation.matching import Matches, MatchingRules, Outcome
from ctlymph.evaluation.protocol import Evaluation, Protocol, evaluate_region
from ctlymph.evaluation.readers.ground_truth_files import read_ground_truth
from ctlymph.evaluation.summary import document
from ctlymph.training.cache_keys import versions
from ctlymph.training.cross_validation import Split, cross_validate, detections_of
from ctlymph.training.splits import make_splits, training_cases
from ctlymph.training.stage_cache import StageCache

FALSE_PER_CT = 3.0
"""False positives per CT, in cross-validation, at which a model's threshold lies."""
_DEFAULT_THRESHOLD = 0.5
WEIGHTS = ".safetensors"


@dataclass(frozen=True)
class Training:
    """What to train on what.

    Attributes:
        method: The method.
        collection: The cases.
        regions: Regions to train for, as far as the method knows them.
        folds: Of the cross-validation that gives metrics and threshold; 0: none.
        bootstraps: For the metrics' intervals.
        extra_train: Collections for training in every round, never for testing.
        steps: Batches of networks; None: the method's own number.
        begin_with: Folder of a model of the same method, whose networks are trained further, or a ``.safetensors``
            file of weights for its network; None: random weights.
        licence: Of the CTs, and their sources; None: what the collection says.
    """

    method: Method
    collection: Collection
    regions: tuple[str, ...]
    folds: int = 4
    bootstraps: int = 1000
    extra_train: tuple[Collection, ...] = ()
    steps: int | None = None
    begin_with: Path | None = None
    licence: str | None = None

    @property
    def collections(self) -> tuple[Collection, ...]:
        """All collections that are trained on."""
        return (self.collection, *self.extra_train)

    @cached_property
    def systems(self) -> dict[str, System]:
        """What is trained, by region.

        Raises:
            CtlymphError: If the model to begin with is of another method or lacks a region.
        """
        given = {region: self.method.systems[region] for region in self.regions if region in self.method.systems}
        if self.steps is None and self.begin_with is None:
            return given
        if not any(isinstance(stage, Configurable) for system in given.values() for stage in system.stages):
            raise UsageError(f"{self.method.name} has no network, and takes neither steps nor weights to begin with")
        return {region: self._tuned(system, region) for region, system in given.items()}

    def _tuned(self, system: System, region: str) -> System:
        begins = self._begins(region, len(system.stages))
        stages = [
            stage.configured(self.steps, *begin) if isinstance(stage, Configurable) else stage
            for stage, begin in zip(system.stages, begins, strict=True)
        ]
        return system.with_stages(stages)

    def _begins(self, region: str, count: int) -> list[tuple[Mapping[str, Any] | None, str]]:
        """Return what each stage begins with, and the digest of its file."""
        if self.begin_with is None:
            return [(None, "")] * count
        if self.begin_with.suffix == WEIGHTS:
            weights, sha256 = read_weights(self.begin_with)
            return [({"weights": weights}, sha256)] * count
        former = read_model(self.begin_with)
        if former.card.method != self.method.name or region not in former.parts:
            raise CtlymphError(
                f"{self.begin_with} is a model of {former.card.method} for the {' and '.join(former.parts)}; give one "
                f"of {self.method.name} for the {region}"
            )
        digests = [part.sha256 for part in former.card.regions[region].stages]
        return list(zip(former.parts[region], digests, strict=True))


def train(folder: Path, training: Training, stage_cache: StageCache) -> ModelCard:
    """Train a method and write its model into an empty folder.

    Raises:
        CtlymphError: If there are too few cases, or the method cannot be trained on them.
    """
    regions = list(training.systems)
    if not regions:
        known = " and ".join(training.method.systems)
        raise UsageError(f"{training.method.name} is for the {known} alone; choose that region")
    if not training.method.is_trainable:
        raise UsageError(f"{training.method.name} is a rule and learns nothing; use it as it is")
    check_can_train([training.method])
    chosen = training_cases(training.collection, regions)
    folds = make_folds(chosen.distinct, training.folds or 2, stage_cache.seed)
    by_region = make_splits(stage_cache, chosen, folds, training.extra_train)
    evaluations = {}
    if training.folds:
        evaluations = {region: _evaluate(training, stage_cache, split, region) for region, split in by_region.items()}
    cards = {
        region: _train_region(folder, training, stage_cache, split, evaluations.get(region))
        for region, split in by_region.items()
    }
    threshold, threshold_is = _threshold(evaluations, cards)
    licences = {case.licence for each in training.collections for case in each.cases()} - {""}
    card = ModelCard(
        method=training.method.name,
        trained_on=_description(training, cards),
        synthetic=any(each.synthetic for each in training.collections),
        licence=training.licence or ", ".join(sorted(licences)),
        seed=stage_cache.seed,
        threshold=threshold,
        threshold_is=threshold_is,
        versions=versions(),
        regions=cards,
    )
    write_card(folder, card)
    return card


def _evaluate(training: Training, stage_cache: StageCache, split: Split, region: str) -> Evaluation:
    tested = cross_validate(stage_cache, training.systems[region], split)
    marks = detections_of(training.method.name, split, tested)
    truth = read_ground_truth(training.collection.folder, marks.cases)
    return evaluate_region(
        [marks], truth, region, Protocol(MatchingRules(), Resampling(training.bootstraps, stage_cache.seed))
    )


def _train_region(
    folder: Path, training: Training, stage_cache: StageCache, split: Split, evaluation: Evaluation | None
) -> RegionCard:
    region = split.cases[0].region
    system = training.systems[region]
    cases = split.train_cases(None, joint=system.joint)
    models = stage_cache.fit(system, cases)
    stages = []
    for number, (stage, name) in enumerate(zip(system.stages, models, strict=True), start=1):
        part = stage_cache.model(name)
        file = f"{'all' if system.joint else region}-{number}-{stage.name}{ending_of(part)}"
        is_there = (folder / file).exists()  # of another region: they have learned together
        stages.append(describe_stage(folder, file, stage) if is_there else write_stage(folder, file, stage, part))
    return RegionCard(
        cases=tuple(case.name for case in cases),
        nodes=sum(stage_cache.nodes(case).enlarged for case in cases),
        stages=tuple(stages),
        metrics=_metrics(evaluation, split) if evaluation else None,
        sigmoid=_sigmoid(evaluation.results[0].matches) if evaluation else None,
    )


def _sigmoid(matches: Matches) -> tuple[float, float]:
    """Fit the sigmoid that turns scores into probabilities to the hits of cross-validation."""
    hits = matches.outcome == Outcome.HIT
    counted = hits | matches.false
    return sigmoid_through(log_odds(matches.detections.scores[counted]), hits[counted].astype(np.int8))


def _metrics(evaluation: Evaluation, split: Split) -> Mapping[str, Any]:
    whole = document(evaluation)
    (result,) = whole["detectors"]
    return {
        "of": f"{split.folds.k}-fold cross-validation by patient on the cases of this model",
        "folds": [list(names) for names in split.folds.folds],
        **{key: whole[key] for key in ("rules", "intervals", "cases", "patients", "nodes")},
        **result["metrics"],
        **{key: value for key, value in result.items() if key not in ("detector", "mode", "calibration", "metrics")},
    }


def _threshold(evaluations: Mapping[str, Evaluation], cards: Mapping[str, RegionCard]) -> tuple[float, str]:
    """Return the probability at which all regions together have 3 false positives per CT, and how it was chosen."""
    if not evaluations:
        return _DEFAULT_THRESHOLD, "not measured: there was no cross-validation"
    found = []
    for region, each in evaluations.items():
        matches, curve = each.results[0].matches, cards[region].sigmoid
        scores = matches.detections.scores[matches.false]
        found.append(scores if curve is None else calibrated(scores, *curve))
    false = np.sort(np.concatenate(found))[::-1]
    allowed = int(FALSE_PER_CT * sum(len(each.truth.cases) for each in evaluations.values()))
    score = float(false[allowed - 1]) if 0 < allowed <= len(false) else 0.0
    return float(np.clip(score, 0, 1)), f"{FALSE_PER_CT:g} false positives per CT in cross-validation"


def _description(training: Training, cards: Mapping[str, RegionCard]) -> str:
    described = cards
    if any(system.joint for system in training.systems.values()):  # all cards are alike
        described = {" or ".join(cards): next(iter(cards.values()))}
    counts = " and ".join(
        f"{len(each.cases)} CTs of the {region} ({each.nodes} enlarged nodes)" for region, each in described.items()
    )
    made = [each.synthetic for each in training.collections]
    if any(made):
        part = "" if all(made) else "in part "
        return (
            f"{training.method.name} was trained {part}on synthetic lymph nodes: {counts}, with nodes made by "
            "ctlymph phantom; its metrics hold for such CTs and say little about real ones."
        )
    known = all(case.entry for each in training.collections for case in each.cases())
    return f"{training.method.name} was trained on {counts} of {TITLE if known else 'a collection of its user'}."
