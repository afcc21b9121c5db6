"""``benchmark.json``: every metric of a benchmark."""

from __future__ import annotations

from typing import Any

import numpy as np

from ctlymph.evaluation.summary import document
from ctlymph.training.cache_keys import versions
from ctlymph.workflows.benchmarking import BenchmarkReport, Comparison


def benchmark_document(report: BenchmarkReport, command: str) -> dict[str, Any]:
    """Return everything but single detections and operating points as plain values for JSON; NaN becomes null."""
    plan = report.plan
    return {
        "notice": "For research use, not for diagnosis",
        "command": command,
        "versions": versions(),
        "collection": plan.collection.folder.name,
        "synthetic": plan.collection.synthetic,
        "also_trained_on": [each.folder.name for each in plan.extra_train],
        "folds": {"k": report.plan.folds.k, "seed": report.plan.folds.seed},
        "methods": [method.name for method in plan.methods],
        "cross_validated": [_comparison(each) for each in report.cross_validated],
        "others": [_comparison(each) for each in report.tested],
        "tried": [{"region": each.region, "cases": list(each.evaluation.truth.cases)} for each in report.unannotated],
    }


def _comparison(comparison: Comparison) -> dict[str, Any]:
    return {
        "title": comparison.title,
        "region": comparison.region,
        "notes": list(comparison.notes),
        "costs": {
            name: {"seconds_a_case": _number(cost.seconds), "peak_mb": _number(cost.peak_mb)}
            for name, cost in comparison.costs.items()
        },
        **document(comparison.evaluation),
    }


def _number(value: float) -> float | None:
    return None if np.isnan(value) else round(value, 3)
