"""``evaluation.html``, self-contained, with curves, figures, calibration, and what was missed or wrongly marked."""

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
from ctlymph.evaluation.matching import Rules
from ctlymph.evaluation.protocol import Evaluation, Verdict
from ctlymph.evaluation.readers.cts import Scans
from ctlymph.evaluation.reliability import calibrate, is_calibratable
from ctlymph.evaluation.summary import difference_table, interval_text, lines, protocol_line
from ctlymph.outputs.example_images import Examples, examples, with_pictures
from ctlymph.outputs.froc_plots import calibration_svg, froc_svg
from ctlymph.outputs.html import page_environment

if TYPE_CHECKING:
    pass

PART_RATES = (1.0, 3.0, 10.0)
"""False positives per CT at which the parts are shown."""


@dataclass(frozen=True)
class PartRow:
    """One size class, region or station: nodes, figures as text, and the middle one (value, low, high) for its bar."""

    kind: str
    name: str
    nodes: int
    figures: tuple[str, ...]
    bar: tuple[float, float, float] | None


@dataclass(frozen=True)
class Section:
    """One detector in one mode, as the page shows it."""

    verdict: Verdict
    sensitivities: tuple[str, ...]
    single: tuple[tuple[str, str], ...]
    parts: tuple[PartRow, ...]
    calibration: str
    calibration_error: float | None
    examples: Examples


def write_page(path: Path, evaluation: Evaluation, scans: Scans, progress: Progress = SILENT) -> None:
    """Write the page; with pictures of those examples whose CT is among ``scans``."""
    environment = page_environment()
    chosen = [(verdict, examples(verdict)) for verdict in evaluation.verdicts]
    shown = with_pictures(chosen, scans, progress) if scans else [each for _, each in chosen]
    html = environment.get_template("evaluation.html.j2").render(
        protocol=protocol_line(evaluation),
        rules=_in_words(evaluation.protocol.rules),
        resampling=evaluation.protocol.resampling,
        cases=len(evaluation.truth.cases),
        rates=RATES,
        part_rates=PART_RATES,
        plot=svg_address(froc_svg(lines(evaluation))),
        sections=[_section(each, found) for each, found in zip(evaluation.verdicts, shown, strict=True)],
        first=evaluation.verdicts[0].detector,
        differences=difference_table(evaluation),
        has_scans=bool(scans),
        version=version("ctlymph"),
    )
    path.write_text(html, encoding="utf-8")


def _in_words(rules: Rules) -> tuple[str, ...]:
    reach = {
        "15mm": "within 15 mm of its centre",
        "radius": "within half its long axis of its centre",
        "iou0.1": "with a box that overlaps its box by an intersection over union of 0.1 or more",
        "ids": "that names it",
    }[rules.hit]
    further = "ignored" if rules.duplicates == "ignored" else "a false positive"
    small = (
        "Nodes of every size count."
        if rules.all_nodes
        else f"Nodes with a short axis below {rules.least_short_axis_mm:g} mm, or of unknown size, are neither hit nor "
        "missed, and marks on them are no false positives."
    )
    return (
        f"A hit is a node with a mark {reach} that serves no other node.",
        f"A false positive is a mark in reach of no node; a further mark on a node that is hit is {further}.",
        small,
    )


def _section(verdict: Verdict, found: Examples) -> Section:
    is_chance = is_calibratable(verdict.matches) and len(verdict.matches.marks) > 0
    calibration = calibrate(verdict.matches) if is_chance else None
    figures = verdict.figures
    single = (
        ("CPM", figures.cpm),
        ("AP", figures.ap),
        ("AUC of marks", figures.auc),
        ("with every mark", figures.found),
    )
    return Section(
        verdict,
        tuple(interval_text(_at(figures, rate)) for rate in RATES),
        tuple((name, interval_text(each)) for name, each in single),
        _part_rows(verdict),
        "" if calibration is None else svg_address(calibration_svg(calibration)),
        None if calibration is None or np.isnan(calibration.error) else calibration.error,
        found,
    )


def _part_rows(verdict: Verdict) -> tuple[PartRow, ...]:
    rows = []
    for part, figures in verdict.parts:
        middle = _at(figures, PART_RATES[1])
        bar = (float(middle.value), float(middle.low), float(middle.high))
        rows.append(
            PartRow(
                part.kind,
                part.name,
                int((part.nodes & ~verdict.matches.set_aside).sum()),
                tuple(interval_text(_at(figures, rate)) for rate in PART_RATES),
                None if np.isnan(bar).any() else bar,
            )
        )
    return tuple(rows)


def _at(figures: Intervals, rate: float) -> Interval:
    at = RATES.index(rate)
    whole = figures.sensitivity
    return Interval(whole.value[at], whole.low[at], whole.high[at])


def svg_address(svg: bytes) -> str:
    """Give a picture as the text of an address that holds it."""
    return "data:image/svg+xml;base64," + base64.b64encode(svg).decode("ascii")
