"""``evaluation.html``, self-contained, with curves, metrics, calibration, and what was missed or wrongly marked."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ctlymph.core.progress import SILENT, Progress
from ctlymph.evaluation.bootstrap import Interval, Intervals
from ctlymph.evaluation.froc import RATES
from ctlymph.evaluation.matching import MatchingRules
from ctlymph.evaluation.protocol import DetectorResult, Evaluation
from ctlymph.evaluation.readers.cts import Scans
from ctlymph.evaluation.reliability import calibrate, is_calibratable
from ctlymph.evaluation.summary import difference_table, froc_lines, interval_text, protocol_line
from ctlymph.outputs.example_images import ExampleImages, examples, with_pictures
from ctlymph.outputs.froc_plots import calibration_svg, froc_svg
from ctlymph.outputs.html import page_environment

if TYPE_CHECKING:
    pass

SUBSET_RATES = (1.0, 3.0, 10.0)
"""False positives per CT at which the subsets are shown."""


@dataclass(frozen=True)
class SubsetRow:
    """One size class, region or station: nodes, sensitivities as text, and one of them (value, low, high) as a bar."""

    kind: str
    name: str
    nodes: int
    sensitivities: tuple[str, ...]
    bar: tuple[float, float, float] | None


@dataclass(frozen=True)
class DetectorSection:
    """One detector in one mode, as the page shows it."""

    result: DetectorResult
    sensitivities: tuple[str, ...]
    single: tuple[tuple[str, str], ...]
    subsets: tuple[SubsetRow, ...]
    calibration: str
    calibration_error: float | None
    examples: ExampleImages


def write_page(path: Path, evaluation: Evaluation, scans: Scans, progress: Progress = SILENT) -> None:
    """Write the page; with pictures of those examples whose CT is among ``scans``."""
    environment = page_environment()
    chosen = [(result, examples(result)) for result in evaluation.results]
    shown = with_pictures(chosen, scans, progress) if scans else [each for _, each in chosen]
    html = environment.get_template("evaluation.html.j2").render(
        protocol=protocol_line(evaluation),
        rules=_in_words(evaluation.protocol.rules),
        resampling=evaluation.protocol.resampling,
        cases=len(evaluation.truth.cases),
        notes=list(dict.fromkeys(note for each in evaluation.results for note in each.notes)),
        rates=RATES,
        subset_rates=SUBSET_RATES,
        plot=svg_address(froc_svg(froc_lines(evaluation))),
        sections=[_section(each, found) for each, found in zip(evaluation.results, shown, strict=True)],
        first=evaluation.results[0].detector,
        differences=difference_table(evaluation),
        has_scans=bool(scans),
        version=version("ctlymph"),
    )
    path.write_text(html, encoding="utf-8")


def _in_words(rules: MatchingRules) -> tuple[str, ...]:
    within = {
        "15mm": "within 15 mm of its centre",
        "radius": "within half its long axis of its centre",
        "iou0.1": "with a box that overlaps its box by an intersection over union of 0.1 or more",
        "ids": "that names it",
    }[rules.hit]
    further = "ignored" if rules.duplicates == "ignored" else "a false positive"
    small = (
        "Nodes of every size count."
        if rules.all_nodes
        else f"Nodes with a short axis below {rules.min_short_axis_mm:g} mm, or of unknown size, are neither hit nor "
        "missed, and detections on them are no false positives."
    )
    return (
        f"A hit is a node with a mark {within} that serves no other node.",
        f"A false positive is a mark within reach of no node; a further mark on a node that is hit is {further}.",
        small,
    )


def _section(result: DetectorResult, found: ExampleImages) -> DetectorSection:
    is_calibrated = is_calibratable(result.matches) and len(result.matches.detections) > 0
    calibration = calibrate(result.matches) if is_calibrated else None
    metrics = result.metrics
    single = (
        ("CPM", metrics.cpm),
        ("AP", metrics.ap),
        ("AUC", metrics.auc),
        ("with all detections", metrics.max_sensitivity),
    )
    return DetectorSection(
        result,
        tuple(interval_text(_at(metrics, rate)) for rate in RATES),
        tuple((name, interval_text(each)) for name, each in single),
        _subset_rows(result),
        "" if calibration is None else svg_address(calibration_svg(calibration)),
        None if calibration is None or np.isnan(calibration.error) else calibration.error,
        found,
    )


def _subset_rows(result: DetectorResult) -> tuple[SubsetRow, ...]:
    rows = []
    for subset, metrics in result.subsets:
        scored = result.matches.detections.are_scored
        shown = _at(metrics, SUBSET_RATES[1]) if scored else metrics.max_sensitivity
        bar = (float(shown.value), float(shown.low), float(shown.high))
        rows.append(
            SubsetRow(
                subset.kind,
                subset.name,
                int((subset.nodes & ~result.matches.excluded).sum()),
                (*(interval_text(_at(metrics, rate)) for rate in SUBSET_RATES), interval_text(metrics.max_sensitivity)),
                None if np.isnan(bar).any() else bar,
            )
        )
    return tuple(rows)


def _at(metrics: Intervals, rate: float) -> Interval:
    at = RATES.index(rate)
    whole = metrics.sensitivity
    return Interval(whole.value[at], whole.low[at], whole.high[at])


def svg_address(svg: bytes) -> str:
    """Return a picture as a data URL."""
    return "data:image/svg+xml;base64," + base64.b64encode(svg).decode("ascii")
