"""An evaluation in numbers: as JSON with everything, and as the rows of a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

import numpy as np

from ctlymph.evaluation.bootstrap import LEVEL, Difference, Interval, Intervals
from ctlymph.evaluation.froc import CPM_RATES, RATES, FrocLine
from ctlymph.evaluation.matching import Matches, Outcome
from ctlymph.evaluation.protocol import BAND_RATES, DetectorResult, Evaluation
from ctlymph.evaluation.reliability import calibrate, is_calibratable

_SINGLE = ("cpm", "ap", "auc", "max_sensitivity")

HEADER = (
    "detector",
    "mode",
    "sensitivity at 1 FP",
    "3 FP",
    "10 FP",
    "all detections",
    "CPM",
    "AP",
    "AUC",
    "detections/CT",
)


def table(evaluation: Evaluation) -> list[tuple[str, ...]]:
    """Return the rows of a table with :data:`HEADER`: a detector and mode each, metrics with their 95 % interval."""
    return [_row(result) for result in evaluation.results]


def difference_table(evaluation: Evaluation) -> list[tuple[str, ...]]:
    """Return the rows of a table of each later detector less the first: difference, interval and p, where defined."""
    rows: list[tuple[str, ...]] = []
    for name, found in evaluation.differences:
        metrics, p = found.metrics, found.p
        for metric, interval, p_value in (
            *((f"sensitivity at {rate:g} FP", _at(metrics, rate), _p_at(p, rate)) for rate in (1, 3, 10)),
            ("sensitivity, all detections", metrics.max_sensitivity, float(p["max_sensitivity"])),
            *((each.upper(), getattr(metrics, each), float(p[each])) for each in ("cpm", "ap", "auc")),
        ):
            if not np.isnan(interval.value):
                rows.append((name, metric, interval_text(interval, signed=True), f"{p_value:.3f}"))
    return rows


def document(evaluation: Evaluation) -> dict[str, Any]:
    """Return all but single detections, nodes and operating points as plain values for JSON; NaN becomes null."""
    rules, resampling, truth = evaluation.protocol.rules, evaluation.protocol.resampling, evaluation.truth
    first = evaluation.results[0].matches
    found: dict[str, Any] = {
        "notice": "For research use, not for diagnosis",
        "ctlymph_version": version("ctlymph"),
        "rules": asdict(rules),
        "intervals": {"level": LEVEL, "bootstraps_over_patients": resampling.times, "seed": resampling.seed},
        "cases": len(truth.cases),
        "patients": len(set(truth.patients)),
        "nodes": {"all": len(truth), "counted": int((~first.excluded).sum())},
        "cpm_is_the_mean_sensitivity_at": list(CPM_RATES),
        "detectors": [_result(result) for result in evaluation.results],
        "differences_from_the_first": [
            {"detector": name, **_difference(difference)} for name, difference in evaluation.differences
        ],
    }
    return found


def _result(result: DetectorResult) -> dict[str, Any]:
    matches = result.matches
    outcomes = {outcome.name.lower(): int((matches.outcome == outcome).sum()) for outcome in Outcome}
    return {
        "detector": result.detector,
        "mode": result.mode,
        "detections": outcomes,
        "nodes_hit": int(np.isfinite(matches.node_score).sum()),
        "nodes_within_reach": int(matches.reached.sum()),
        "metrics": _metrics(result.metrics),
        "subsets": [
            {
                "kind": subset.kind,
                "name": subset.name,
                "nodes": int((subset.nodes & ~matches.excluded).sum()),
                **_metrics(each),
            }
            for subset, each in result.subsets
        ],
        "calibration": _calibration(matches),
        "notes": list(result.notes),
    }


def _calibration(matches: Matches) -> dict[str, Any] | None:
    """Return how often detections of a score are hits, by bins of scores; None where scores are no probabilities."""
    if not is_calibratable(matches):
        return None
    found = calibrate(matches)
    bins = zip(found.low, found.high, found.count, found.mean_score, found.hit_rate, strict=True)
    return {
        "expected_calibration_error": _number(found.error),
        "bins": [
            {
                "from": _number(low),
                "to": _number(high),
                "detections": int(count),
                "mean_score": _number(score),
                "hit_rate": _number(rate),
            }
            for low, high, count, score, rate in bins
        ],
    }


def _metrics(metrics: Intervals) -> dict[str, Any]:
    at_rates = {
        name: [{"false_per_volume": rate, **_plain(_at(metrics, rate, name))} for rate in RATES]
        for name in ("sensitivity", "interpolated")
    }
    return {**at_rates, **{name: _plain(getattr(metrics, name)) for name in _SINGLE}}


def _difference(difference: Difference) -> dict[str, Any]:
    single = {name: {**_plain(getattr(difference.metrics, name)), "p": _number(difference.p[name])} for name in _SINGLE}
    rates = [
        {"false_per_volume": rate, **_plain(_at(difference.metrics, rate)), "p": _number(_p_at(difference.p, rate))}
        for rate in RATES
    ]
    return {"sensitivity": rates, **single}


def _at(metrics: Intervals, rate: float, name: str = "sensitivity") -> Interval:
    whole: Interval = getattr(metrics, name)
    at = RATES.index(rate)
    return Interval(whole.value[at], whole.low[at], whole.high[at])


def _p_at(p: Mapping[str, Any], rate: float) -> float:
    return float(p["sensitivity"][RATES.index(rate)])


def _plain(interval: Interval) -> dict[str, float | None]:
    return {end: _number(getattr(interval, end)) for end in ("value", "low", "high")}


def _number(value: Any) -> float | None:
    return None if np.isnan(value) else round(float(value), 6)


def _row(result: DetectorResult) -> tuple[str, ...]:
    metrics, matches = result.metrics, result.matches
    rates = (interval_text(_at(metrics, rate)) for rate in (1, 3, 10))
    single = (interval_text(getattr(metrics, name)) for name in ("max_sensitivity", "cpm", "ap", "auc"))
    return (result.detector, result.mode, *rates, *single, f"{len(matches.detections) / len(matches.truth.cases):.1f}")


def interval_text(interval: Interval, signed: bool = False, digits: int = 3) -> str:
    """Return a metric with its interval as text; empty where it is not defined."""
    if np.isnan(interval.value):
        return ""
    value, low, high = (
        f"{float(each):{'+' if signed else ''}.{digits}f}" for each in (interval.value, interval.low, interval.high)
    )
    return f"{value} ({low}–{high})" if not signed else f"{value} ({low} to {high})"


def protocol_line(evaluation: Evaluation) -> str:
    """Return one line: what was evaluated, and how."""
    rules, truth = evaluation.protocol.rules, evaluation.truth
    counted = int((~evaluation.results[0].matches.excluded).sum())
    sizes = "all sizes" if rules.all_nodes else f"short axis ≥ {rules.min_short_axis_mm:g} mm"
    scans = f"{_count(len(truth.cases), 'CT')} of {_count(len(set(truth.patients)), 'patient')}"
    return (
        f"{_count(counted, 'node')} ({sizes}) in {scans}; "
        f"hit {rules.hit}, duplicates {rules.duplicates}; 95 % intervals over patients"
    )


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")


def froc_lines(evaluation: Evaluation) -> list[FrocLine]:
    """Return the curves for :func:`ctlymph.outputs.froc_plots.write_plot`."""
    rates = np.array(BAND_RATES)
    several = len({result.mode for result in evaluation.results}) > 1
    return [
        FrocLine(
            f"{result.detector} ({result.mode})" if several else result.detector,
            result.curve,
            rates,
            np.stack([result.metrics.band.low, result.metrics.band.high]),
        )
        for result in evaluation.results
    ]
