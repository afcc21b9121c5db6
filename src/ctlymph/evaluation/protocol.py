"""One detector, or several, judged by one protocol: what ``ctlymph evaluate`` does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ctlymph.evaluation.bootstrap import Difference, Intervals, Resampling, difference, intervals
from ctlymph.evaluation.detections import Detections, GroundTruth
from ctlymph.evaluation.froc import Curve, Subset, curve, subsets
from ctlymph.evaluation.matching import Duplicates, Hit, Matches, MatchingRules, match
from ctlymph.evaluation.readers.detection_files import fit, read_detections
from ctlymph.evaluation.readers.ground_truth_files import read_ground_truth

END_TO_END, INJECTED = "end to end", "injected"
"""Modes: of the detector's own marks alone; and with the candidates that were added for nodes which the candidate
generator had missed, so that only the classifier is judged (Roth 2014)."""

CANDIDATE_RATE = 40.0
"""False positives per volume at which candidate generators are compared."""
BAND_RATES = tuple(np.geomspace(0.05, CANDIDATE_RATE, 130).round(4).tolist())
"""False positives per volume at which the band of the curve is taken; the last is :data:`CANDIDATE_RATE`."""


FEW_PATIENTS = 10
"""With fewer, resampling patients tells little of how patients differ."""


@dataclass(frozen=True)
class Protocol:
    """How to judge.

    Attributes:
        rules: What a hit and a false positive are.
        resampling: For the intervals.
    """

    rules: MatchingRules
    resampling: Resampling


@dataclass(frozen=True, eq=False)
class DetectorResult:
    """What became of one detector in one mode.

    Attributes:
        detector: Its name.
        mode: :data:`END_TO_END` or :data:`INJECTED`.
        matches: What became of every mark and node.
        curve: Every operating point.
        metrics: With their intervals.
        subsets: Metrics by size class, region and station.
        notes: What was left out, and what to beware of.
    """

    detector: str
    mode: str
    matches: Matches
    curve: Curve
    metrics: Intervals
    subsets: tuple[tuple[Subset, Intervals], ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Detectors judged by one truth and one protocol.

    Attributes:
        protocol: How.
        truth: The nodes.
        results: One a detector and mode, in the order that the detectors came in.
        differences: Of each later detector from the first, end to end: its name and what differs.
    """

    protocol: Protocol
    truth: GroundTruth
    results: tuple[DetectorResult, ...]
    differences: tuple[tuple[str, Difference], ...]


def evaluate(
    marks: Detections | str | Path | Sequence[Detections | str | Path],
    truth: GroundTruth | str | Path,
    hit: Hit = "15mm",
    *,
    duplicates: Duplicates = "ignored",
    all_nodes: bool = False,
    region: str | None = None,
    bootstraps: int = 1000,
    seed: int = 0,
) -> Evaluation:
    """Judge the marks of one or several detectors.

    A hit is a counted node with a mark in reach that serves no other node. A false positive is a mark in
    reach of no node.

    Args:
        marks: Detections, or where they lie (see
            :func:`ctlymph.evaluation.readers.detection_files.read_detections`).
        truth: The nodes, or where they lie (see
            :func:`ctlymph.evaluation.readers.ground_truth_files.read_ground_truth`).
        hit: When a mark reaches a node: ``15mm``, ``radius``, ``iou0.1`` or ``ids`` (see :class:`MatchingRules`).
        duplicates: What further marks on a node are: ``ignored`` or ``fp``.
        all_nodes: Count small nodes (short axis below 10 mm) and those of unknown size, too.
        region: Judge only the cases in which this was annotated, ``mediastinum`` or ``abdomen``; None: all.
        bootstraps: Resamplings of the patients for the intervals.
        seed: The same seed gives the same intervals.

    Raises:
        CtlymphError: If marks or truth cannot be read, do not fit each other, or cannot be judged by the rule.
    """
    wanted = [marks] if isinstance(marks, Detections | str | Path) else list(marks)
    truth = truth if isinstance(truth, GroundTruth) else read_ground_truth(Path(truth), boxes=hit == "iou0.1")
    protocol = Protocol(MatchingRules(hit, duplicates, all_nodes), Resampling(bootstraps, seed))
    read = [each if isinstance(each, Detections) else read_detections(Path(each)) for each in wanted]
    return evaluate_region(read, truth, region, protocol) if region else evaluate_detections(read, truth, protocol)


def evaluate_region(detectors: Sequence[Detections], truth: GroundTruth, region: str, protocol: Protocol) -> Evaluation:
    """Judge detectors on the cases in which one region was annotated; their marks of the other cases are left out.

    Raises:
        CtlymphError: As :func:`evaluate`, or if the region was annotated nowhere.
    """
    chosen = truth.of_region(region)
    others = set(truth.cases) - set(chosen.cases)
    return evaluate_detections([each.of_cases(set(each.cases) - others) for each in detectors], chosen, protocol)


def evaluate_detections(detectors: Sequence[Detections], truth: GroundTruth, protocol: Protocol) -> Evaluation:
    """Judge detectors; see :func:`evaluate`.

    Raises:
        CtlymphError: As :func:`evaluate`.
    """
    results = []
    for each in detectors:
        fitting, notes = fit(each, truth)
        own = fitting.chosen(~fitting.injected)
        results.append(_result(own, END_TO_END, truth, protocol, notes))
        if fitting.injected.any():
            results.append(_result(fitting, INJECTED, truth, protocol, notes))
    alone = [result for result in results if result.mode == END_TO_END]
    differences = tuple(
        (later.detector, difference(alone[0].matches, later.matches, protocol.resampling)) for later in alone[1:]
    )
    return Evaluation(protocol, truth, tuple(results), differences)


def _result(
    marks: Detections, mode: str, truth: GroundTruth, protocol: Protocol, notes: Sequence[str]
) -> DetectorResult:
    matches = match(marks, truth, protocol.rules)
    whole = intervals(matches, protocol.resampling, band_rates=BAND_RATES)
    each = tuple((subset, intervals(matches, protocol.resampling, subset)) for subset in subsets(matches))
    return DetectorResult(marks.name, mode, matches, curve(matches), whole, each, (*notes, *_doubts(matches)))


def _doubts(matches: Matches) -> list[str]:
    """Say what makes the metrics less than they seem."""
    found = []
    name, scores = matches.detections.name, matches.detections.scores
    if len(scores) > 1 and (scores == scores[0]).all():
        found.append(f"{name}: all scores are equal, so the curve is one point")
    if excluded := int(matches.excluded.sum()):
        found.append(f"{name}: {excluded} of {len(matches.truth)} nodes are small or of unknown size and excluded")
    if (patients := len(set(matches.truth.patients))) < FEW_PATIENTS:
        found.append(
            f"{name}: the CTs are of {patients} patient(s), too few for intervals, which are narrower than is true"
        )
    if not (~matches.excluded).any():
        found.append(f"{name}: there is no counted node, so sensitivity is not defined")
    return found
