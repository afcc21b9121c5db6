"""The files of one evaluation."""

from __future__ import annotations

import json
from pathlib import Path

from ctlymph.core.progress import SILENT, Progress
from ctlymph.evaluation.protocol import Evaluation
from ctlymph.evaluation.readers.cts import Scans
from ctlymph.evaluation.summary import document, froc_lines, protocol_line
from ctlymph.outputs.evaluation_page import write_page
from ctlymph.outputs.evaluation_tables import write_curves, write_matches
from ctlymph.outputs.froc_plots import write_plot


def write_evaluation(folder: Path, found: Evaluation, scans: Scans, progress: Progress = SILENT) -> None:
    """Write numbers, curves, every mark's outcome, and the page of one evaluation."""
    text = json.dumps(document(found), indent=2, allow_nan=False)
    (folder / "evaluation.json").write_text(text + "\n", encoding="utf-8")
    write_curves(folder / "froc.csv", ((each.detector, each.mode, each.curve) for each in found.results))
    write_matches(folder / "matches.csv", ((each.detector, each.mode, each.matches) for each in found.results))
    write_plot(froc_lines(found), [folder / "froc.png", folder / "froc.svg"], protocol_line(found))
    write_page(folder / "evaluation.html", found, scans, progress)
