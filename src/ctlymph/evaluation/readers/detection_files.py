"""The marks of a detector, read from what detectors write, and brought to the cases of the truth.

All places become LPS mm. A file that does not say what its numbers are is refused, never guessed at.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ctlymph.core.errors import CtlymphError, shown
from ctlymph.evaluation.detections import Detections, GroundTruth
from ctlymph.evaluation.readers.case_names import case_of_file, indices
from ctlymph.evaluation.readers.dicom_results import Objects, read_objects
from ctlymph.io.csv_table import BOX, CsvColumns, CsvTable, column_names, read_table

POINT = ("x_mm", "y_mm", "z_mm")
_NODES = CsvColumns(("case", "region"), (*POINT, "score", "injected", *BOX), ("region", "injected", *BOX))
_LUNA_POINT = ("coordX", "coordY", "coordZ")
_LUNA = CsvColumns(("seriesuid",), (*_LUNA_POINT, "probability"))
_FORMATS = (
    "a nodes.csv, results as in LUNA16 (.csv), markups of 3D Slicer (.mrk.json), a MITK point set (.mps), "
    "boxes of MONAI (.json), a DICOM-SEG or its report, or a folder of these or of the collection's candidates"
)
_PUBLISHED = re.compile(r"_(lymphnodes|posCADe|negCADe)_physicalPoints\.(mps|txt)$")


@dataclass(frozen=True, eq=False)
class _CaseMarks:
    """Marks of one case; ``points_mm`` has shape n, 3, and may be given as a list."""

    case: str
    points_mm: ArrayLike
    scores: ArrayLike
    boxes_mm: NDArray[np.float64] | None = None
    region: str = ""
    named: tuple[str, ...] | None = None


def read_detections(path: str | Path, name: str | None = None) -> Detections:
    """Read the marks of a detector over all cases.

    Args:
        path: One of

            - ``nodes.csv``, of one or many cases: ``case``, ``x_mm``, ``y_mm``, ``z_mm`` (LPS mm), ``score``;
              perhaps ``region``, ``injected`` (0 or 1) and the box ``x_min_mm`` … ``z_max_mm``;
            - results as LUNA16 takes them: ``seriesuid``, ``coordX``, ``coordY``, ``coordZ`` (world, that is LPS,
              mm), ``probability``. A SeriesInstanceUID of the public collection becomes the name of its case;
            - point lists of 3D Slicer, ``CASE.mrk.json`` (see :func:`ctlymph.io.slicer.read_markups`), with the
              scores that ctlymph wrote into them; without scores all are 1;
            - MITK point sets, ``CASE.mps``: LPS mm, without scores, so that all are 1;
            - a DICOM-SEG, or a report (TID 1500) beside it, which gives the scores; without them all are 1. The case is
              the PatientID;
            - boxes as MONAI finds them (see :mod:`ctlymph.evaluation.readers.monai`); a mark is the centre of its box;
            - a folder: of ``ctlymph detect`` over one CT or many; of one file a case, ``CASE.mrk.json`` or
              ``CASE/nodes.mrk.json``, and likewise ``.mps``; or with the candidates of the public collection,
              which have no scores, so that all are 1.
        name: The detector's name; else that of the file or folder.

    Raises:
        CtlymphError: If nothing of these is there, frames or units are not stated or mixed, or a mark has no finite
            place or score; the file, and in a table the line, is named.
    """
    path = Path(path)
    if not path.exists():
        raise CtlymphError(f"{path} does not exist; give {_FORMATS}")
    called = name or _name(path)
    if path.is_dir():
        return _read_folder(path, called)
    if path.suffix.lower() == ".csv":
        return _from_tables(called, [path])
    if path.name.lower().endswith(".mrk.json"):
        return _joined(called, [_markups(path)])
    if path.suffix.lower() == ".json":
        return _joined(called, _monai(path))
    if _PUBLISHED.search(path.name):
        raise CtlymphError(f"{path} holds part of a case's points; give the folder that it is in")
    if path.suffix.lower() == ".mps":
        return _joined(called, [_point_set(path)])
    if (found := read_objects(path)) is not None:
        return _joined(called, [_segments(found)])
    raise CtlymphError(f"{path} is nothing that marks are read from; give {_FORMATS}")


def fit(marks: Detections, truth: GroundTruth) -> tuple[Detections, tuple[str, ...]]:
    """Bring marks to the cases of the truth.

    Marks that name a region other than the one annotated in their case are left out: nobody looked for nodes there.

    Returns:
        The marks, with ``cases`` as in the truth, and a sentence for everything that a reader should know.

    Raises:
        CtlymphError: If marks are of a case that the truth does not have; some are named.
    """
    place = {case: number for number, case in enumerate(truth.cases)}
    if unknown := [case for case in marks.cases if case not in place]:
        named = ", ".join(shown(case) for case in unknown[:3]) + (", …" if len(unknown) > 3 else "")
        raise CtlymphError(
            f"{shown(marks.name)} has marks of {len(unknown)} cases that the truth does not have ({named}); name all "
            "cases that were looked at, those without nodes too, or take out the marks of the others"
        )
    numbers = np.array([place[case] for case in marks.cases], dtype=np.int32)
    fitted = replace(marks, cases=truth.cases, case=numbers[marks.case])
    inside = _annotated(fitted, truth)
    notes = []
    if left_out := int(np.count_nonzero(~inside)):
        what = "1 mark lies" if left_out == 1 else f"{left_out} marks lie"
        notes.append(f"{marks.name}: {what} in a region that is not annotated in its case, and was left out.")
        fitted = fitted.chosen(inside)
    if without := len(truth.cases) - len(np.unique(fitted.case)):
        notes.append(f"{marks.name}: {without} of {len(truth.cases)} cases have no mark.")
    return fitted, tuple(notes)


def _annotated(marks: Detections, truth: GroundTruth) -> NDArray[np.bool_]:
    """Tell which marks may be in the region annotated in their case; where one of the two is not known, they may."""
    if marks.regions is None:
        return np.ones(len(marks), dtype=bool)
    pairs = zip(marks.regions, marks.case.tolist(), strict=True)
    inside = (
        not region or not truth.regions[case] or region in truth.regions[case].split(";") for region, case in pairs
    )
    return np.fromiter(inside, dtype=bool, count=len(marks))


def _name(path: Path) -> str:
    """Name a detector by its file or folder; what is only called nodes.csv, by the folder that it is in."""
    return case_of_file(path, "".join(path.suffixes)) if path.is_file() else path.absolute().name


def _read_folder(folder: Path, name: str) -> Detections:
    if (table := folder / "nodes.csv").is_file():
        return _from_tables(name, [table])
    tables = _visible(folder.glob("*/nodes.csv"))
    markups = _visible(folder.glob("*.mrk.json")) or _visible(folder.glob("*/nodes.mrk.json"))
    sets = _visible(folder.glob("*.mps")) or _visible(folder.glob("*/nodes.mps"))
    if tables:  # a result of ctlymph holds all three, and the table knows most
        return _from_tables(name, tables)
    if markups and sets:
        raise CtlymphError(f"{folder} holds markups (.mrk.json) and point sets (.mps); leave only one of them there")
    if markups:
        return _joined(name, map(_markups, markups))
    if sets:
        return _joined(name, map(_point_set, sets))
    return _joined(name, _candidates(folder))


def _visible(paths: Iterable[Path]) -> list[Path]:
    return sorted(path for path in paths if not path.name.startswith(".") and not _PUBLISHED.search(path.name))


def _from_tables(name: str, paths: Sequence[Path]) -> Detections:
    tables = [_table(path) for path in paths]
    cases, case = indices([word for table in tables for word in _words(table)])
    boxes = [table.boxes_mm() for table in tables if len(table)]
    if len({part is None for part in boxes}) > 1:
        raise CtlymphError(f"{name}: some tables hold boxes and others do not; give boxes in all of them, or in none")
    regions = [region for table in tables for region in table.texts.get("region", [""] * len(table))]
    return Detections(
        name=name,
        cases=cases,
        case=case,
        points_mm=np.concatenate([table.points_mm(_point_names(table)) for table in tables]),
        scores=np.concatenate([table.numbers[_score_name(table)] for table in tables]),
        injected=np.concatenate([_injected(table) for table in tables]),
        boxes_mm=None
        if not boxes or boxes[0] is None
        else np.concatenate([part for part in boxes if part is not None]),
        regions=tuple(regions) if any(regions) else None,
    )


def _table(path: Path) -> CsvTable:
    names = column_names(path)
    ours, theirs = "x_mm" in names, "coordX" in names
    if ours and theirs:
        raise CtlymphError(f"{path} has places twice, as x_mm and as coordX; remove one of them")
    if not ours and not theirs:
        raise CtlymphError(
            f"{path} does not say what its places are; name the columns x_mm, y_mm, z_mm (LPS mm) as in a nodes.csv, "
            "or coordX, coordY, coordZ as LUNA16 does"
        )
    return read_table(path, _NODES if ours else _LUNA)


def _words(table: CsvTable) -> list[str]:
    return table.texts["case" if "case" in table.texts else "seriesuid"]


def _point_names(table: CsvTable) -> Sequence[str]:
    return POINT if "x_mm" in table.numbers else _LUNA_POINT


def _score_name(table: CsvTable) -> str:
    return "score" if "score" in table.numbers else "probability"


def _injected(table: CsvTable) -> NDArray[np.bool_]:
    values = np.nan_to_num(table.numbers.get("injected", np.zeros(len(table))))
    table.refuse(~np.isin(values, (0, 1)), "injected is neither 0 nor 1; correct the line")
    return np.asarray(values == 1)


def _markups(path: Path) -> _CaseMarks:
    from ctlymph.io.slicer import read_markups

    points = read_markups(path)
    scores = [point.score for point in points if point.score is not None]
    if scores and len(scores) < len(points):
        raise CtlymphError(f"{path}: {len(scores)} of {len(points)} points have a score; give all of them one, or none")
    case = case_of_file(path, ".mrk.json")
    return _CaseMarks(case, [point.point_mm for point in points], scores or [1.0] * len(points))


def _point_set(path: Path) -> _CaseMarks:
    from ctlymph.io.mitk import read_point_set

    points = read_point_set(path)
    return _CaseMarks(case_of_file(path, ".mps"), points, [1.0] * len(points))


def _segments(found: Objects) -> _CaseMarks:
    """Take the middle of each segment."""
    labels, points = [], []
    for layer in found.layers:
        voxels = np.argwhere(layer.labels)
        of = layer.labels[tuple(voxels.T)]
        for label in np.unique(of).tolist():
            labels.append(label)
            points.append(layer.geometry.index_to_mm(voxels[of == label].mean(axis=0)[::-1]))
    if found.scores and (missing := set(labels) - set(found.scores)):
        raise CtlymphError(
            f"the report gives segment {min(missing)} no score, but others; give all of them one, or none"
        )
    return _CaseMarks(found.case, np.reshape(points, (-1, 3)), [found.scores.get(label, 1.0) for label in labels])


def _monai(path: Path) -> list[_CaseMarks]:
    from ctlymph.evaluation.readers.monai import read_detections

    return [
        _CaseMarks(_case_of_image(found.case), found.boxes_mm.mean(axis=1), found.scores, found.boxes_mm)
        for found in read_detections(path)
    ]


def _case_of_image(name: str) -> str:
    """Give the case of ``CASE``, ``…/CASE.nii.gz`` or ``…/CASE/ct.nii.gz``."""
    from ctlymph.io.images import image_suffix

    path = Path(name.replace("\\", "/"))
    suffix = image_suffix(path)
    return case_of_file(path, suffix) if suffix else path.name


def _candidates(folder: Path) -> list[_CaseMarks]:
    from ctlymph.datasets.case import Collection

    try:
        cases = [case for case in Collection(folder).cases() if "candidates" in case.has]
    except CtlymphError as error:
        raise CtlymphError(f"{folder} holds no marks ({error}); give {_FORMATS}") from error
    if not cases:
        raise CtlymphError(f"{folder} holds cases without candidates; give {_FORMATS}")
    found = []
    for case in cases:
        candidates = case.candidates()
        points = [candidate.point_mm for candidate in candidates]
        named = tuple("" if candidate.row is None else str(candidate.row) for candidate in candidates)
        is_named = all(candidate.row is not None for candidate in candidates if candidate.positive)
        found.append(
            _CaseMarks(case.name, points, [1.0] * len(points), region=case.region, named=named if is_named else None)
        )
    return found


def _joined(name: str, parts: Iterable[_CaseMarks]) -> Detections:
    """Put the marks of cases together.

    Raises:
        CtlymphError: If two files are of one case.
    """
    found = list(parts)
    cases, order = indices([part.case for part in found])
    if len(cases) < len(found):
        twice = next(cases[number] for number in order if np.count_nonzero(order == number) > 1)
        raise CtlymphError(f"{name} holds marks of {shown(twice)} twice; give each case once")
    points = [np.asarray(part.points_mm, dtype=np.float64).reshape(-1, 3) for part in found]
    counts = [len(part) for part in points]
    boxes = [part.boxes_mm for part in found if part.boxes_mm is not None]
    regions = [part.region for part, count in zip(found, counts, strict=True) for _ in range(count)]
    return Detections(
        name=name,
        cases=cases,
        case=np.repeat(order, counts),
        points_mm=np.concatenate(points),
        scores=np.concatenate([np.asarray(part.scores, dtype=np.float64) for part in found]),
        injected=np.zeros(sum(counts), dtype=bool),
        boxes_mm=np.concatenate(boxes) if boxes else None,
        regions=tuple(regions) if any(regions) else None,
        named=None
        if any(part.named is None for part in found)
        else tuple(n for part in found for n in part.named or ()),
    )
