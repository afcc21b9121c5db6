"""``index.html``: the benchmark on one self-contained page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np

from ctlymph.core.progress import SILENT, Progress
from ctlymph.evaluation.bootstrap import Difference, Interval
from ctlymph.evaluation.froc import RATES
from ctlymph.evaluation.protocol import CANDIDATE_RATE, END_TO_END, DetectorResult
from ctlymph.evaluation.summary import froc_lines, interval_text, protocol_line
from ctlymph.outputs.evaluation_page import svg_address
from ctlymph.outputs.example_images import ExampleImages, examples, with_pictures
from ctlymph.outputs.froc_plots import froc_svg
from ctlymph.outputs.html import page_environment
from ctlymph.training.cache_keys import versions
from ctlymph.workflows.benchmarking import BenchmarkReport, Comparison, Cost

SHOWN_RATES = (1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 10.0)
SIZE_RATE = 3.0
EXAMPLES = 4
"""Of each kind; the pages of the regions show more."""
TRIED_EXAMPLES = 9


@dataclass(frozen=True)
class MethodRow:
    """One method in one mode, as the table shows it."""

    name: str
    mode: str
    summary: str
    sensitivities: tuple[str, ...]
    at_candidates: str
    ap: str
    auc: str
    max_sensitivity: str
    detections: str
    seconds: str
    peak: str
    published: str
    published_on: str
    sizes: tuple[str, ...]


@dataclass(frozen=True)
class MethodStep:
    """A method less the one before it."""

    before: str
    after: str
    metrics: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class ComparisonSection:
    """One comparison, as the page shows it."""

    title: str
    region: str
    link: str
    protocol: str
    notes: tuple[str, ...]
    plot: str
    rows: tuple[MethodRow, ...]
    sizes: tuple[str, ...]
    steps: tuple[MethodStep, ...]
    shown: str
    examples: ExampleImages


def write_page(
    path: Path, report: BenchmarkReport, command: str, links: Mapping[int, str], progress: Progress = SILENT
) -> None:
    """Write the page.

    Args:
        path: The file.
        report: What to show.
        command: The command that made it.
        links: By the place of a comparison among all, where its own page lies.
        progress: Shown while pictures are cut.
    """
    comparisons = (*report.cross_validated, *report.tested)
    environment = page_environment()
    html = environment.get_template("benchmark.html.j2").render(
        synthetic=report.plan.collection.synthetic,
        collection=report.plan.collection.folder.name,
        folds=report.plan.folds.k,
        seed=report.plan.folds.seed,
        resampling=report.plan.resampling,
        rates=SHOWN_RATES,
        size_rate=SIZE_RATE,
        candidate_rate=CANDIDATE_RATE,
        sections=[_section(each, links.get(number, ""), progress) for number, each in enumerate(comparisons)],
        tried=[_tried(each, progress) for each in report.unannotated],
        command=command,
        programs=list(versions().items()),
        version=version("ctlymph"),
    )
    path.write_text(html, encoding="utf-8")


def best(comparison: Comparison) -> DetectorResult:
    """Return the method with the highest sensitivity at 3 false positives per CT; of equals the later."""
    alone = [each for each in comparison.evaluation.results if each.mode == END_TO_END]
    at = RATES.index(SIZE_RATE)
    return max(reversed(alone), key=lambda each: np.nan_to_num(each.metrics.sensitivity.value[at]))


def _section(comparison: Comparison, link: str, progress: Progress) -> ComparisonSection:
    evaluation = comparison.evaluation
    shown = best(comparison)
    (pictured,) = with_pictures([(shown, examples(shown, EXAMPLES))], comparison.scans, progress)
    sizes = tuple(subset.name for subset, _ in evaluation.results[0].subsets if subset.kind == "size")
    return ComparisonSection(
        comparison.title,
        comparison.region,
        link,
        protocol_line(evaluation),
        comparison.notes,
        svg_address(froc_svg(froc_lines(evaluation))),
        tuple(_row(each, comparison, sizes) for each in evaluation.results),
        sizes,
        tuple(MethodStep(before, after, _differences(difference)) for before, after, difference in comparison.steps),
        shown.detector,
        pictured,
    )


def _tried(comparison: Comparison, progress: Progress) -> dict[str, object]:
    """Show the detections of the last method, which is the best trained one as a rule."""
    shown = comparison.evaluation.results[-1]
    (pictured,) = with_pictures([(shown, examples(shown, TRIED_EXAMPLES))], comparison.scans, progress)
    return {
        "region": comparison.region,
        "notes": comparison.notes,
        "method": shown.detector,
        "cases": comparison.evaluation.truth.cases,
        "costs": _costs(comparison.costs),
        "examples": pictured,
    }


def _costs(costs: Mapping[str, Cost]) -> list[tuple[str, str, str]]:
    return [(name, _number(cost.seconds, 1), _number(cost.peak_mb, 0)) for name, cost in costs.items()]


def _row(result: DetectorResult, comparison: Comparison, sizes: Sequence[str]) -> MethodRow:
    method, metrics = comparison.methods.get(result.detector), result.metrics
    cost = comparison.costs.get(result.detector, Cost(np.nan, np.nan))
    published = method.published.get(comparison.region) if method else None
    of_size = {subset.name: each for subset, each in result.subsets if subset.kind == "size"}
    return MethodRow(
        result.detector,
        result.mode,
        method.summary if method else "Predictions made elsewhere.",
        tuple(_text(_at(metrics.sensitivity, rate)) for rate in SHOWN_RATES),
        _text(Interval(*(getattr(metrics.band, end)[-1] for end in ("value", "low", "high")))),
        _text(metrics.ap),
        _text(metrics.auc),
        _text(metrics.max_sensitivity),
        f"{len(result.matches.detections) / len(result.matches.truth.cases):.0f}",
        _number(cost.seconds, 1) if result.mode == END_TO_END else "",
        _number(cost.peak_mb, 0) if result.mode == END_TO_END else "",
        ", ".join(f"{value:.3g} at {rate:g}" for rate, value in published.sensitivity.items()) if published else "",
        published.on if published else "",
        tuple(_text(_at(of_size[name].sensitivity, SIZE_RATE)) if name in of_size else "" for name in sizes),
    )


def _differences(difference: Difference) -> tuple[tuple[str, str], ...]:
    metrics, p = difference.metrics, difference.p
    found = []
    for rate in (1.0, 3.0, 10.0):
        p_value = np.asarray(p["sensitivity"])[RATES.index(rate)]
        found.append((_text(_at(metrics.sensitivity, rate), signed=True), f"{p_value:.3f}"))
    found.append((_text(metrics.ap, signed=True), f"{float(np.asarray(p['ap'])):.3f}"))
    return tuple(found)


def _text(interval: Interval, signed: bool = False) -> str:
    return interval_text(interval, signed, digits=2)


def _at(whole: Interval, rate: float) -> Interval:
    at = RATES.index(rate)
    return Interval(whole.value[at], whole.low[at], whole.high[at])


def _number(value: float, digits: int) -> str:
    return "" if np.isnan(value) else f"{value:.{digits}f}"
