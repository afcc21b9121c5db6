"""The files of a benchmark: its page, its numbers, and of each comparison the page that ``evaluate`` writes."""

from __future__ import annotations

import json
from pathlib import Path

from ctlymph.core.progress import SILENT, Progress
from ctlymph.outputs.benchmark_page import write_page
from ctlymph.outputs.benchmark_summary import benchmark_document
from ctlymph.outputs.evaluation_files import write_evaluation
from ctlymph.workflows.benchmarking import BenchmarkReport


def write_benchmark(folder: Path, report: BenchmarkReport, command: str, progress: Progress = SILENT) -> None:
    """Write everything into an existing folder, best a staging folder."""
    links = {}
    for number, comparison in enumerate((*report.cross_validated, *report.tested)):
        name = comparison.region if number < len(report.cross_validated) else f"{comparison.region}-{comparison.title}"
        (folder / name).mkdir()
        write_evaluation(folder / name, comparison.evaluation, comparison.scans, progress)
        links[number] = f"{name}/evaluation.html"
    report.plan.folds.write(folder / "folds.json")
    text = json.dumps(benchmark_document(report, command), indent=2, allow_nan=False)
    (folder / "benchmark.json").write_text(text + "\n", encoding="utf-8")
    write_page(folder / "index.html", report, command, links, progress)
