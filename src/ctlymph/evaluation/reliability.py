"""Calibration of scores: of the detections scored 0.2, is one in five a hit?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ctlymph.core.errors import CtlymphError, shown
from ctlymph.core.short_repr import short_repr
from ctlymph.evaluation.detections import Floats
from ctlymph.evaluation.matching import Matches, Outcome

BIN_EDGES = (0.0, *(10.0 ** (step / 4) for step in range(-16, 0)), 1.0)
"""Four bins a decade from 0.0001 to 1, and one below: most detections have very low scores."""


@dataclass(frozen=True, eq=False)
class Calibration:
    """Scores against the share of hits, in the bins that hold detections; k of them.

    Detections that are neither hits nor false positives under the rules are left out.

    Attributes:
        low: Shape k: lower edge, within the bin.
        high: Shape k: upper edge, outside it but for 1.
        count: Shape k: detections.
        mean_score: Shape k.
        hit_rate: Shape k: share of hits.
        error: Expected calibration error: the mean over detections of the distance between their bin's mean score and
            its share of hits; NaN without detections.
    """

    low: Floats
    high: Floats
    count: NDArray[np.int64]
    mean_score: Floats
    hit_rate: Floats
    error: float

    __repr__ = short_repr


def is_calibratable(matches: Matches) -> bool:
    """Return whether scores can be probabilities: they differ, and all lie in 0…1."""
    scores = matches.detections.scores
    return matches.detections.are_scored and _are_probabilities(scores)


def _are_probabilities(scores: Floats) -> bool:
    return bool(((scores >= 0) & (scores <= 1)).all())


def calibrate(matches: Matches) -> Calibration:
    """Compare scores with the share of hits.

    Raises:
        CtlymphError: If a score is not within 0…1.
    """
    if not _are_probabilities(matches.detections.scores):
        scores = matches.detections.scores
        wrong = scores[(scores < 0) | (scores > 1)][0]
        raise CtlymphError(
            f"{shown(matches.detections.name)}: a score of {wrong:g} is no probability; calibration needs 0 to 1"
        )
    hit = matches.outcome == Outcome.HIT
    kept = hit | matches.false
    scores, hits = matches.detections.scores[kept], hit[kept]
    edges = np.array(BIN_EDGES)
    place = np.minimum(np.searchsorted(edges, scores, side="right") - 1, len(edges) - 2)
    counts = np.bincount(place, minlength=len(edges) - 1)
    filled = np.flatnonzero(counts)
    count = counts[filled]
    mean_score = np.bincount(place, scores, len(counts))[filled] / count
    hit_rate = np.bincount(place, hits.astype(float), len(counts))[filled] / count
    gaps = np.abs(mean_score - hit_rate)
    error = float(np.average(gaps, weights=count)) if len(count) else np.nan
    return Calibration(edges[filled], edges[filled + 1], count, mean_score, hit_rate, error)
