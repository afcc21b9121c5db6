"""The outcome of every mark and node, and every operating point, as tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from ctlymph.evaluation.froc import Curve
from ctlymph.evaluation.matching import Matches, Outcome
from ctlymph.io.csv_table import write_csv

CURVE_COLUMNS = ("detector", "mode", "threshold", "false_per_volume", "sensitivity", "hits", "false_positives")
MATCH_COLUMNS = (
    *("detector", "mode", "kind", "case", "number", "x_mm", "y_mm", "z_mm", "score", "outcome", "node"),
    *("short_axis_mm", "long_axis_mm", "station"),
)
_OUTCOMES = {
    Outcome.HIT: "hit",
    Outcome.DUPLICATE: "duplicate",
    Outcome.IGNORED: "ignored",
    Outcome.FALSE_POSITIVE: "false positive",
}

Row = tuple[str | int | float, ...]


def write_curves(path: Path, curves: Iterable[tuple[str, str, Curve]]) -> None:
    """Write every operating point of curves, each with the detector and the mode that it is of."""
    write_csv(path, CURVE_COLUMNS, (row for detector, mode, curve in curves for row in _points(detector, mode, curve)))


def write_matches(path: Path, matched: Iterable[tuple[str, str, Matches]]) -> None:
    """Write a row for each mark and each node: what it is, where it lies (LPS mm), and its outcome.

    A mark's ``node`` is the node that its outcome is due to. A node's ``score`` is that from which on it is hit.
    """
    rows = (row for detector, mode, matches in matched for row in _outcomes(detector, mode, matches))
    write_csv(path, MATCH_COLUMNS, rows)


def _points(detector: str, mode: str, curve: Curve) -> Iterator[Row]:
    found, false = curve.sensitivity.tolist(), curve.false_per_volume.tolist()
    counts = zip(curve.thresholds.tolist(), false, found, curve.hits.tolist(), curve.false.tolist(), strict=True)
    for threshold, rate, sensitivity, hits, count in counts:
        yield (detector, mode, f"{threshold:.6g}", f"{rate:.6g}", f"{sensitivity:.6g}", hits, count)


def _outcomes(detector: str, mode: str, matches: Matches) -> Iterator[Row]:
    detections, truth = matches.detections, matches.truth
    for row, outcome in enumerate(matches.outcome.tolist()):
        node = int(matches.node[row])
        place = (f"{mm:.3f}" for mm in detections.points_mm[row].tolist())
        about = (f"{detections.scores[row]:.6g}", _OUTCOMES[Outcome(outcome)], truth.ids[node] if node >= 0 else "")
        yield (detector, mode, "detection", truth.cases[matches.case[row]], row + 1, *place, *about, "", "", "")
    for row, score in enumerate(matches.node_score.tolist()):
        outcome = "excluded" if matches.excluded[row] else "hit" if np.isfinite(score) else "missed"
        place = (f"{mm:.3f}" for mm in truth.points_mm[row].tolist())
        sizes = (_length(truth.short_axis_mm[row]), _length(truth.long_axis_mm[row]))
        about = (f"{score:.6g}" if np.isfinite(score) else "", outcome, truth.ids[row])
        yield (
            detector,
            mode,
            "node",
            truth.cases[truth.case[row]],
            row + 1,
            *place,
            *about,
            *sizes,
            truth.stations[row],
        )


def _length(mm: float) -> str:
    return "" if np.isnan(mm) else f"{mm:.2f}"
