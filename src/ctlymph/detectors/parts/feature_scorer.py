"""Scorers that need no more than the features of candidates, and the examples that they learn from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

from ctlymph.core.errors import CtlymphError
from ctlymph.core.short_repr import short_repr
from ctlymph.detectors.base import ENLARGED_MM, Candidates, DetectionContext, Floats, TrueNodes

E = TypeVar("E")


@dataclass(frozen=True, eq=False)
class Examples:
    """Candidates of one case, or of several, that lie on enlarged nodes or off all nodes; n of them.

    Attributes:
        features: ``(n, …)`` what the stage before has handed on.
        labels: ``(n,)`` 1 on, 0 off.
        radii_mm: ``(n,)`` estimated radius.
        short_axes_mm: ``(n,)`` short axis of the nearest enlarged node; NaN where the case has none.
    """

    features: NDArray[Any]
    labels: NDArray[np.int8]
    radii_mm: Floats
    short_axes_mm: Floats

    __repr__ = short_repr

    def __len__(self) -> int:
        return len(self.labels)


def examples_of(candidates: Candidates, truth: TrueNodes, max_off_nodes: int | None = None) -> Examples:
    """Return the candidates of a case that can be learned from.

    Args:
        candidates: All of the case.
        truth: Its nodes.
        max_off_nodes: How many of those off nodes at most, the highest-scoring, which are the hardest; None: all.
    """
    labels = truth.labels(candidates.points_mm)
    used = labels >= 0
    if max_off_nodes is not None:
        used[np.flatnonzero(labels == 0)[max_off_nodes:]] = False
    chosen = candidates.chosen(np.flatnonzero(used))
    enlarged = truth.short_axes_mm >= ENLARGED_MM
    short_axes_mm = np.full(len(chosen), np.nan)
    if enlarged.any():
        offsets_mm = chosen.points_mm[:, None] - truth.points_mm[enlarged][None]
        short_axes_mm = truth.short_axes_mm[enlarged][np.linalg.norm(offsets_mm, axis=2).argmin(axis=1)]
    return Examples(chosen.features, labels[used], chosen.radii_mm, short_axes_mm)


def joined(extracted: Sequence[Examples], stage: str) -> tuple[Examples, NDArray[np.intp]]:
    """Join the examples of several cases.

    Returns:
        All of them, and the number of each one's case, ``(n,)``.

    Raises:
        CtlymphError: If no candidate lies on a node, or none off; it names the stage.
    """
    cases = np.repeat(np.arange(len(extracted)), [len(each) for each in extracted])
    some = [each for each in extracted if len(each)]
    if len({label for each in some for label in each.labels.tolist()}) < 2:
        raise all_alike(stage, len(extracted))
    return concatenated(some), cases


def concatenated(parts: Sequence[E]) -> E:
    """Join dataclasses of arrays: each array of the result is those of all parts, one after the other."""
    arrays = zip(*(vars(part).values() for part in parts), strict=True)
    return type(parts[0])(*(np.concatenate(each) for each in arrays))


def all_alike(stage: str, cases: int) -> CtlymphError:
    """Return the error for cases whose candidates lie on nodes throughout, or off nodes throughout."""
    return CtlymphError(f"{stage}: candidates of {cases} cases are all alike; add cases with nodes")


class FeatureScorer(ABC):
    """A :class:`~ctlymph.detectors.base.Scorer` that does not see the CT, but only what the stage before says of it.

    A subclass with a method ``fit`` is trained on :class:`Examples`.
    """

    examples: ClassVar[type[Any]] = Examples

    def extract(self, context: DetectionContext, candidates: Candidates, truth: TrueNodes) -> Examples:
        """Return the candidates on and off nodes, with their features."""
        return examples_of(candidates, truth)

    def score(self, model: Mapping[str, Any], context: DetectionContext, candidates: Candidates) -> Candidates:
        """Return the candidates with new scores or features; where there are none there is nothing to do."""
        return self.score_features(model, candidates) if len(candidates) else candidates

    @abstractmethod
    def score_features(self, model: Mapping[str, Any], candidates: Candidates) -> Candidates:
        """Return candidates, at least one, with new scores or features."""
