"""One detector or several, evaluated under one protocol: what ``ctlymph evaluate`` does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ctlymph.evaluation.bootstrap import Difference, Intervals, Resampling, difference, intervals
from ctlymph.evaluation.detections import Detections, GroundTruth
from ctlymph.evaluation.froc import Curve, Subset, curve, subsets
from ctlymph.evaluation.matching import Duplicates, Hit, Matches, MatchingRules, match
from ctlymph.evaluation.readers.detection_files import read_detections
from ctlymph.evaluation.readers.ground_truth_files import read_ground_truth

END_TO_END, INJECTED = "end to end", "injected"
"""Modes: the detector's own detections alone; and with the candidates that were added for nodes which the candidate
generator had missed, so that the classifier alone is evaluated (Roth 2014)."""

CANDIDATE_RATE = 40.0
"""False positives per volume at which candidate generators are compared."""
BAND_RATES = tuple(np.geomspace(0.05, CANDIDATE_RATE, 130).round(4).tolist())
"""False positives per volume at which the band of the curve is taken; the last is :data:`CANDIDATE_RATE`."""


FEW_PATIENTS = 10
"""With fewer, resampling does not show how patients differ."""


@dataclass(frozen=True)
class Protocol:
    """How to evaluate.

    Attributes:
        rules: What a hit and a false positive are.
        resampling: For the intervals.
    """

    rules: MatchingRules
    resampling: Resampling


@dataclass(frozen=True, eq=False)
class DetectorResult:
    """The metrics of one detector in one mode.

    Attributes:
        detector: Its name.
        mode: :data:`END_TO_END` or :data:`INJECTED`.
        matches: The outcome of every detection and node.
        curve: Every operating point.
        metrics: With their intervals; those that need scores are NaN where all scores are equal.
        subsets: Metrics by size class, region and station.
        notes: What was left out, and what makes the metrics less than they seem.
    """

    detector: str
    mode: str
    matches: Matches
    curve: Curve
    metrics: Intervals
    subsets: tuple[tuple[Subset, Intervals], ...]
    notes: tuple[str, ...]

    def __repr__(self) -> str:
        counted, hit = ~self.matches.excluded, np.isfinite(self.matches.node_score)
        return (
            f"DetectorResult({self.detector!r}, {self.mode}: {int(hit.sum())} of {int(counted.sum())} nodes hit, "
            f"{int(self.matches.false.sum())} false positives in {len(self.matches.truth.cases)} CTs)"
        )


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Detectors evaluated against one truth under one protocol.

    Attributes:
        protocol: How they were evaluated.
        truth: The nodes.
        results: One a detector and mode, in the order that the detectors came in.
        differences: Of each later detector from the first, end to end: its name and what differs.
    """

    protocol: Protocol
    truth: GroundTruth
    results: tuple[DetectorResult, ...]
    differences: tuple[tuple[str, Difference], ...]

    def __repr__(self) -> str:
        return f"Evaluation(hit {self.protocol.rules.hit}, {self.truth!r}, {list(self.results)})"


def evaluate(
    detections: Detections | str | Path | Sequence[Detections | str | Path],
    truth: GroundTruth | str | Path,
    hit: Hit = "15mm",
    *,
    duplicates: Duplicates = "ignored",
    all_nodes: bool = False,
    region: str | None = None,
    bootstraps: int = 1000,
    seed: int = 0,
) -> Evaluation:
    """Evaluate the detections of one or several detectors.

    A hit is a counted node with a detection within reach that serves no other node. A false positive is a detection
    within reach of no node.

    Args:
        detections: Detections, or where they lie (see
            :func:`ctlymph.evaluation.readers.detection_files.read_detections`).
        truth: The nodes, or where they lie (see
            :func:`ctlymph.evaluation.readers.ground_truth_files.read_ground_truth`).
        hit: When a detection reaches a node: ``15mm``, ``radius``, ``iou0.1`` or ``ids`` (see :class:`MatchingRules`).
        duplicates: What further detections on a node are: ``ignored`` or ``fp`` (false positives).
        all_nodes: Count small nodes (short axis below 10 mm) and those of unknown size, too.
        region: Evaluate only the cases in which this was annotated, ``mediastinum`` or ``abdomen``; None: all.
        bootstraps: Resamplings of the patients for the intervals.
        seed: The same seed gives the same intervals.

    Returns:
        The curve, the metrics with their intervals, and the outcome of every detection and node, for each detector.

    Raises:
        CtlymphError: If detections or truth cannot be read, do not fit each other, or cannot be matched by the rule.

    Example:
        Scan 1 holds the nodes A and B, scan 2 holds C. The detections: 0.9 on A, 0.8 on A again, 0.7 on nothing,
        0.6 on B, 0.5 on C. The curve has every operating point: false positives per CT, and sensitivity.

        >>> from ctlymph.evaluation import Detections, GroundTruth
        >>> a, b, c, nothing = (0, 0, 0), (100, 0, 0), (0, 50, 0), (0, 300, 0)
        >>> truth = GroundTruth.from_points({"scan 1": [a, b], "scan 2": [c]}, short_axis_mm=12)
        >>> detections = Detections.from_points(
        ...     {"scan 1": [a, a, nothing, b], "scan 2": [c]}, {"scan 1": [0.9, 0.8, 0.7, 0.6], "scan 2": [0.5]}
        ... )
        >>> (result,) = evaluate(detections, truth, hit="15mm", bootstraps=20).results
        >>> result
        DetectorResult('detections', end to end: 3 of 3 nodes hit, 1 false positives in 2 CTs)
        >>> curve = result.curve
        >>> curve.false_per_volume.tolist()
        [0.0, 0.5, 0.5, 0.5]
        >>> (3 * curve.sensitivity).round().tolist()
        [1.0, 1.0, 2.0, 3.0]
    """
    given = [detections] if isinstance(detections, Detections | str | Path) else list(detections)
    boxes = hit == "iou0.1"
    truth = truth if isinstance(truth, GroundTruth) else read_ground_truth(truth, boxes=boxes)
    protocol = Protocol(MatchingRules(hit, duplicates, all_nodes), Resampling(bootstraps, seed))
    read = [each if isinstance(each, Detections) else read_detections(each, boxes=boxes) for each in given]
    return evaluate_region(read, truth, region, protocol) if region else evaluate_detections(read, truth, protocol)


def evaluate_region(detectors: Sequence[Detections], truth: GroundTruth, region: str, protocol: Protocol) -> Evaluation:
    """Evaluate detectors on the cases in which one region was annotated; their detections elsewhere are left out.

    Raises:
        CtlymphError: As :func:`evaluate`, or if the region was annotated nowhere.
    """
    chosen = truth.of_region(region)
    others = set(truth.cases) - set(chosen.cases)
    renamed = (each.renamed(truth.series) for each in detectors)
    return evaluate_detections([each.of_cases(set(each.cases) - others) for each in renamed], chosen, protocol)


def evaluate_detections(detectors: Sequence[Detections], truth: GroundTruth, protocol: Protocol) -> Evaluation:
    """Evaluate detectors; see :func:`evaluate`.

    Raises:
        CtlymphError: As :func:`evaluate`.
    """
    results = []
    for each in detectors:
        aligned = each.aligned(truth)
        results.append(_result(aligned.select(~aligned.injected), END_TO_END, truth, protocol))
        if aligned.injected.any():
            results.append(_result(aligned, INJECTED, truth, protocol))
    alone = [result for result in results if result.mode == END_TO_END]
    differences = tuple((later.detector, _difference(alone[0], later, protocol)) for later in alone[1:])
    return Evaluation(protocol, truth, tuple(results), differences)


def _result(detections: Detections, mode: str, truth: GroundTruth, protocol: Protocol) -> DetectorResult:
    matches = match(detections, truth, protocol.rules)
    whole = intervals(matches, protocol.resampling, band_rates=BAND_RATES)
    each = tuple((subset, intervals(matches, protocol.resampling, subset)) for subset in subsets(matches))
    if not detections.are_scored:
        whole, each = whole.without_scores(), tuple((subset, found.without_scores()) for subset, found in each)
    points = curve(matches)
    notes = (f"{detections.name}: {note}" for note in (*detections.notes, *_caveats(matches, points)))
    return DetectorResult(detections.name, mode, matches, points, whole, each, (*truth.notes, *notes))


def _difference(first: DetectorResult, later: DetectorResult, protocol: Protocol) -> Difference:
    found = difference(first.matches, later.matches, protocol.resampling)
    scored = first.matches.detections.are_scored and later.matches.detections.are_scored
    return found if scored else found.without_scores()


def _caveats(matches: Matches, curve: Curve) -> list[str]:
    """Return what makes the metrics less than they seem."""
    notes = []
    if not matches.detections.are_scored and len(curve.thresholds):
        notes.append(
            f"all scores are equal, so there is one operating point: sensitivity {curve.sensitivity[-1]:.3f} at "
            f"{curve.false_per_volume[-1]:.3g} false positives per CT; what needs scores is left out"
        )
    if excluded := int(matches.excluded.sum()):
        notes.append(f"{excluded} of {len(matches.truth)} nodes are small or of unknown size and do not count")
    if (patients := len(set(matches.truth.patients))) < FEW_PATIENTS:
        notes.append(f"the CTs are of {patients} patient(s), too few for intervals: the true ones are wider")
    if not (~matches.excluded).any():
        notes.append("there is no counted node, so sensitivity is not defined")
    return notes
