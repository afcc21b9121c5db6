"""Cross-validation: every case is tested by models that have learned from the cases of the other folds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ctlymph.datasets.folds import Folds
from ctlymph.detectors.base import Candidates, System
from ctlymph.evaluation.detections import Detections
from ctlymph.training.stage_cache import Case, Prediction, StageCache


@dataclass(frozen=True)
class Split:
    """The cases of one region, and how they are dealt out.

    Attributes:
        cases: All, also those that cannot be worked on.
        folds: Of these.
        unseen: By name, why a case cannot be worked on: nothing is learned from it, and it gets no marks.
        everywhere: All cases of all regions, for systems that learn from them together; they are in the folds, too.
        extra_train: Cases of other collections, of all regions, which are learned from in every round and never tested.
    """

    cases: Sequence[Case]
    folds: Folds
    unreadable: Mapping[str, str] = field(default_factory=dict)
    everywhere: Sequence[Case] = ()
    extra_train: Sequence[Case] = ()

    def of_fold(self, fold: int) -> list[Case]:
        """Give the cases that are tested in a round."""
        return [case for case in self.seen if self.folds.fold_of(case.name) == fold]

    def but_fold(self, fold: int | None, *, joint: bool = False) -> list[Case]:
        """Give the cases that may be learned from in a round, or with None all.

        Args:
            fold: Number of the round.
            joint: Those of all regions.
        """
        own = [case for case in self.everywhere if case.name not in self.unreadable] if joint else self.seen
        return [
            *(case for case in own if self.folds.fold_of(case.name) != fold),
            *(case for case in self.extra_train if joint or case.region == self.cases[0].region),
        ]

    @property
    def seen(self) -> list[Case]:
        """The cases that can be worked on."""
        return [case for case in self.cases if case.name not in self.unreadable]


@dataclass(frozen=True, eq=False)
class OutOfFold:
    """What a system gave for the cases of a trial.

    Attributes:
        found: By case.
        injected: By case, scored candidates on nodes that the generator had missed; empty unless asked for.
    """

    found: Mapping[str, Prediction]
    injected: Mapping[str, Candidates]


def cross_validate(stage_cache: StageCache, system: System, split: Split, *, inject: bool = False) -> OutOfFold:
    """Test a system on every case of a trial.

    Args:
        stage_cache: Where it learns.
        system: Stages for the region.
        split: Cases and folds.
        inject: Also score candidates put onto the nodes that the generator has missed, so that the classifier alone
            can be judged (the protocol of Roth 2014); a system without a classifier has none.

    Raises:
        CtlymphError: If a round has too few cases to learn from, or they teach nothing.
    """
    found: dict[str, Prediction] = {}
    injected: dict[str, Candidates] = {}
    for fold in range(split.folds.k):
        learned, tested = split.but_fold(fold, joint=system.joint), split.of_fold(fold)
        if not tested:
            continue  # a fold of patients who show the other region alone
        models = stage_cache.fit(system, learned)
        given = stage_cache.predict(system.stages, models, tested)
        found |= {case.name: each for case, each in zip(tested, given, strict=True)}
        if inject and system.classifier:
            injected |= _inject(stage_cache, system, models, tested)
    return OutOfFold(found, injected)


def _inject(
    stage_cache: StageCache, system: System, models: Sequence[str], cases: Sequence[Case]
) -> dict[str, Candidates]:
    """Score, for each case, a candidate on every enlarged node that the generator's candidates have missed."""
    count = len(system.generator)
    proposed = stage_cache.predict(system.generator, models[:count], cases)
    missed = [stage_cache.nodes(case).missed(each.candidates) for case, each in zip(cases, proposed, strict=True)]
    names = [stage_cache.store(each) for each in missed]
    scored = stage_cache.predict(system.classifier, models[count:], cases, names)
    return {case.name: each.candidates for case, each in zip(cases, scored, strict=True)}


def marks_of(name: str, split: Split, tested: OutOfFold) -> Detections:
    """Give what a system found in a trial as marks, cases without any among them, the injected ones last."""
    cases = tuple(case.name for case in split.cases)
    own = {case: each.candidates for case, each in tested.found.items()}
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
