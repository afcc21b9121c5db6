"""Cross-validation: every case is tested by models that were trained on the cases of the other folds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ctlymph.datasets.folds import Folds
from ctlymph.detectors.base import Candidates, System
from ctlymph.evaluation.detections import Detections
from ctlymph.training.stage_cache import Prediction, StageCache, TrainingCase


@dataclass(frozen=True)
class Split:
    """The cases of one region and their folds.

    Attributes:
        cases: All, also those that cannot be read.
        folds: Of these.
        unreadable: By name, why a case cannot be read: it is not trained on and gets no marks.
        all_regions: The cases of all regions, for detectors that are trained on them together; in the folds, too.
        extra_train: Cases of other collections, of all regions, for training in every round, never for testing.
    """

    cases: Sequence[TrainingCase]
    folds: Folds
    unreadable: Mapping[str, str] = field(default_factory=dict)
    all_regions: Sequence[TrainingCase] = ()
    extra_train: Sequence[TrainingCase] = ()

    def test_cases(self, fold: int) -> list[TrainingCase]:
        """Return the cases that are tested in a round."""
        return [case for case in self.readable if self.folds.fold_of(case.name) == fold]

    def train_cases(self, fold: int | None, *, joint: bool = False) -> list[TrainingCase]:
        """Return the cases that are trained on in a round, or all.

        Args:
            fold: Number of the round; None: all cases.
            joint: Those of all regions.
        """
        own = [case for case in self.all_regions if case.name not in self.unreadable] if joint else self.readable
        return [
            *(case for case in own if self.folds.fold_of(case.name) != fold),
            *(case for case in self.extra_train if joint or case.region == self.cases[0].region),
        ]

    @property
    def readable(self) -> list[TrainingCase]:
        """The cases that can be read."""
        return [case for case in self.cases if case.name not in self.unreadable]


@dataclass(frozen=True, eq=False)
class OutOfFold:
    """Predictions for cases that their models were not trained on.

    Attributes:
        predictions: By case.
        injected: By case, scored candidates on nodes that the generator had missed; empty unless requested.
    """

    predictions: Mapping[str, Prediction]
    injected: Mapping[str, Candidates]


def cross_validate(stage_cache: StageCache, system: System, split: Split, *, inject: bool = False) -> OutOfFold:
    """Test a detector on every case of a split.

    Args:
        stage_cache: Where it is trained and used.
        system: Its stages for the region.
        split: Cases and folds.
        inject: Also score candidates placed on the nodes that the generator has missed, so that the classifier alone
            can be evaluated (the protocol of Roth 2014).

    Raises:
        CtlymphError: If a round has too few cases for training, or a stage cannot be trained on them.
    """
    predictions: dict[str, Prediction] = {}
    injected: dict[str, Candidates] = {}
    for fold in range(split.folds.k):
        trained, tested = split.train_cases(fold, joint=system.joint), split.test_cases(fold)
        if not tested:
            continue  # a fold of patients with the other region only
        models = stage_cache.fit(system, trained)
        predicted = stage_cache.predict(system.stages, models, tested)
        predictions |= {case.name: each for case, each in zip(tested, predicted, strict=True)}
        if inject and system.classifier:
            injected |= _inject(stage_cache, system, models, tested)
    return OutOfFold(predictions, injected)


def _inject(
    stage_cache: StageCache, system: System, models: Sequence[str], cases: Sequence[TrainingCase]
) -> dict[str, Candidates]:
    """Score, for each case, a candidate on every enlarged node that the generator's candidates have missed."""
    count = len(system.generator)
    proposed = stage_cache.predict(system.generator, models[:count], cases)
    missed = [stage_cache.nodes(case).missed(each.candidates) for case, each in zip(cases, proposed, strict=True)]
    keys = [stage_cache.store(each) for each in missed]
    scored = stage_cache.predict(system.classifier, models[count:], cases, keys)
    return {case.name: each.candidates for case, each in zip(cases, scored, strict=True)}


def detections_of(name: str, split: Split, tested: OutOfFold) -> Detections:
    """Return predictions as detections, cases without any included, the injected ones last."""
    cases = tuple(case.name for case in split.cases)
    own = {case: each.candidates for case, each in tested.predictions.items()}
    both = (own, tested.injected)
    rows = [(cases.index(case), each) for part in both for case, each in part.items()]
    counts = [len(each) for _, each in rows]
    total_own = sum(len(each) for each in own.values())
    return Detections(
        name=name,
        cases=cases,
        case=np.repeat([number for number, _ in rows], counts).astype(np.int32),
        points_mm=np.concatenate([np.empty((0, 3)), *(each.points_mm for _, each in rows)]),
        scores=np.concatenate([np.empty(0), *(each.scores for _, each in rows)]),
        injected=np.arange(sum(counts)) >= total_own,
    )
