"""Predictions that another program made in cross-validation, checked against the folds of a benchmark."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ctlymph.core.errors import CtlymphError, shown
from ctlymph.datasets.folds import Folds
from ctlymph.evaluation.detections import Detections
from ctlymph.evaluation.readers.detection_files import read_detections

CASES_FILE = "cases.txt"
"""Names of cases, one a line, that were predicted: for formats in which a case without detections leaves no trace."""
_FOLD = re.compile(r"fold[ _-]?(\d+)", re.IGNORECASE)
_VALIDATION = "validation"
"""Folder within that of a fold, where nnU-Net puts the cases that the fold's model was not trained on."""


@dataclass(frozen=True)
class ExternalPredictions:
    """Where the predictions of another program are.

    Attributes:
        name: How they are called in the benchmark.
        folder: With a folder for each fold, ``fold_0``, ``fold_1``, …, or with the predictions of all folds, in any
            format that :func:`~ctlymph.evaluation.readers.detection_files.read_detections` reads.
    """

    name: str
    folder: Path


def read_predictions(source: ExternalPredictions, cases: Sequence[str], folds: Folds) -> Detections:
    """Read predictions, each case from the folder of the fold in which the benchmark tests it.

    Args:
        source: Where they are.
        cases: The cases of the benchmark in one region; predictions for other cases are left out.
        folds: Of the benchmark.

    Returns:
        The detections, with all ``cases``.

    Raises:
        CtlymphError: If nothing can be read, or a case is in no folder, in several, or in that of another fold; it is
            named.
    """
    parts = _parts(source, folds)
    for case in cases:
        _check(source, case, [number for number, (_, known) in parts.items() if case in known], folds)
    chosen = [detections.of_cases(set(cases)) for detections, _ in parts.values()]
    return _joined(source.name, tuple(cases), chosen)


def _parts(source: ExternalPredictions, folds: Folds) -> dict[int | None, tuple[Detections, set[str]]]:
    """Read the folder of each fold, or, under None, that of all folds: detections and the names of its cases."""
    if not source.folder.is_dir():
        raise CtlymphError(f"{source.folder} is no folder; give the folder of the predictions of {source.name}")
    of_fold: dict[int | None, Path] = {}
    for path in sorted(path for path in source.folder.iterdir() if path.is_dir()):
        if match := _FOLD.fullmatch(path.name):
            of_fold[int(match[1])] = path
    if of_fold and set(of_fold) != set(range(folds.k)):
        there = ", ".join(str(number) for number in sorted(number for number in of_fold if number is not None))
        raise CtlymphError(
            f"{source.folder} has folders of the folds {there}, but the benchmark has {folds.k} folds, numbered from "
            "0; give the file of the folds that were trained with"
        )
    return {number: _read(source.name, path) for number, path in (of_fold or {None: source.folder}).items()}


def _read(name: str, folder: Path) -> tuple[Detections, set[str]]:
    place = folder / _VALIDATION if (folder / _VALIDATION).is_dir() else folder
    detections = read_detections(place, name)
    listed = place / CASES_FILE
    named = listed.read_text(encoding="utf-8").split() if listed.is_file() else []
    return detections, {*detections.cases, *named}


def _check(source: ExternalPredictions, case: str, found: Sequence[int | None], folds: Folds) -> None:
    fold = folds.fold_of(case)
    place = f"the predictions of {source.name}"
    if not found:
        raise CtlymphError(
            f"{shown(case)} is not in {place}; predict it, or, if nothing was detected there, name it in {CASES_FILE}"
        )
    if len(found) > 1:
        numbers = " and ".join(str(number) for number in found)
        raise CtlymphError(f"{shown(case)} is in {place} for the folds {numbers}; keep that of fold {fold} only")
    if found[0] not in (None, fold):
        raise CtlymphError(
            f"{shown(case)} is in {place} for fold {found[0]}, but the benchmark tests it in fold {fold}; give the "
            "file of the folds that were trained with"
        )


def _joined(name: str, cases: tuple[str, ...], parts: Sequence[Detections]) -> Detections:
    place = {case: number for number, case in enumerate(cases)}
    numbers = [np.array([place[case] for case in part.cases], np.int32)[part.case] for part in parts]
    regions = [region for part in parts for region in part.regions or ("",) * len(part)]
    return Detections(
        name=name,
        cases=cases,
        case=np.concatenate(numbers),
        points_mm=np.concatenate([part.points_mm for part in parts]),
        scores=np.concatenate([part.scores for part in parts]),
        injected=np.concatenate([part.injected for part in parts]),
        regions=tuple(regions) if any(regions) else None,
    )
