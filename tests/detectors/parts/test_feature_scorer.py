from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest

from contexts import scene_with_nodes
from ctlymph.core.errors import CtlymphError
from ctlymph.detectors.base import NO_CANDIDATES, Candidates, Scorer, Trainable, TrainableScorer, TrueNodes, predict
from ctlymph.detectors.parts.feature_scorer import Examples, FeatureScorer, examples_of, joined

TRUTH = TrueNodes(np.array([[0.0, 0, 0], [100, 0, 0], [200, 0, 0]]), np.array([12.0, 8.0, 20.0]), None)
CANDIDATES = Candidates(
    points_mm=np.array([[0.0, 0, 0], [50, 0, 0], [100, 0, 0], [60, 0, 0], [201, 0, 0], [14, 0, 0]]),
    scores=np.linspace(1, 0, 6),
    radii_mm=np.arange(6.0),
    features=np.arange(12.0).reshape(6, 2),
)


def test_examples_are_the_candidates_on_enlarged_nodes_and_off_all_nodes() -> None:
    examples = examples_of(CANDIDATES, TRUTH)
    assert examples.labels.tolist() == [1, 0, 0, 1]
    assert examples.radii_mm.tolist() == [0, 1, 3, 4]
    assert examples.features[:, 0].tolist() == [0, 2, 6, 8]
    assert examples.short_axes_mm[examples.labels == 1].tolist() == [12, 20]


def test_of_candidates_off_nodes_the_highest_scoring_are_taken() -> None:
    assert examples_of(CANDIDATES, TRUTH, max_off_nodes=1).radii_mm.tolist() == [0, 1, 4]


def test_without_enlarged_nodes_there_is_no_short_axis() -> None:
    truth = TrueNodes(np.empty((0, 3)), np.empty(0), None)
    examples = examples_of(CANDIDATES, truth)
    assert examples.labels.tolist() == [0] * 6
    assert np.isnan(examples.short_axes_mm).all()


def test_examples_of_cases_are_joined_with_the_number_of_their_case() -> None:
    parts = [examples_of(each, TRUTH) for each in (CANDIDATES, NO_CANDIDATES, CANDIDATES)]
    examples, cases = joined(parts, "stage")
    assert examples.features.shape == (8, 2)
    assert cases.tolist() == [0] * 4 + [2] * 4
    with pytest.raises(CtlymphError, match="stage: candidates of 1 cases are all alike"):
        joined(parts[1:2], "stage")


@dataclass(frozen=True)
class Total(FeatureScorer):
    """Scores candidates by the sum of their features."""

    version: ClassVar[int] = 1
    name: str = "total"

    def score_features(self, model: Mapping[str, Any], candidates: Candidates) -> Candidates:
        return candidates.scored(candidates.features.sum(axis=1))


@dataclass(frozen=True)
class Trained(Total):
    """The same, with something to learn."""

    def fit(self, extracted: Sequence[Examples], seed: int) -> dict[str, Any]:
        return {}


def test_a_scorer_of_features_is_trained_if_it_has_a_method_fit() -> None:
    context, _ = scene_with_nodes(1)
    assert isinstance(Total(), Scorer)
    assert not isinstance(Total(), Trainable)
    assert isinstance(Trained(), TrainableScorer)
    assert predict(Total(), {}, context, CANDIDATES).radii_mm.tolist() == [5, 4, 3, 2, 1, 0]
    assert predict(Total(), {}, context, NO_CANDIDATES) is NO_CANDIDATES
