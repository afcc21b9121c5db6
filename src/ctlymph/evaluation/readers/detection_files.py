"""The detections of a detector, read from what detectors write.

All places become LPS mm. A file that does not say what its numbers are is refused; nothing is guessed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects

from ctlymph.core.errors import CtlymphError
from ctlymph.core.progress import SILENT, Progress
from ctlymph.core.volume import Masks
from ctlymph.datasets.case import Collection
from ctlymph.evaluation.detections import Detections
from ctlymph.evaluation.readers import monai_boxes, nndetection_boxes
from ctlymph.evaluation.readers.case_names import case_of_file, indices
from ctlymph.evaluation.readers.dicom_results import DicomNodes, read_dicom_nodes
from ctlymph.evaluation.readers.mask_files import (
    Labels,
    MaskFolder,
    box_of_label,
    centroids_and_boxes,
    find_label_maps,
    find_structures,
    read_nodes,
)
from ctlymph.io.csv_table import BOX, CsvColumns, CsvTable, column_names, read_table
from ctlymph.io.images import image_suffix, read_masks
from ctlymph.io.mitk import read_point_set
from ctlymph.io.slicer import read_markups

POINT = ("x_mm", "y_mm", "z_mm")
_NODES = CsvColumns(
    ("case", "region", "node"), (*POINT, "score", "injected", *BOX), ("region", "node", "injected", *BOX)
)
_LUNA_POINT = ("coordX", "coordY", "coordZ")
_LUNA = CsvColumns(("seriesuid",), (*_LUNA_POINT, "probability"))
_FORMATS = (
    "a nodes.csv, results as in LUNA16 (.csv), masks of nodes, boxes of nnDetection or MONAI (.json), markups of "
    "3D Slicer (.mrk.json), a MITK point set (.mps), a DICOM-SEG or its report, or a folder of these or of the "
    "collection's candidates"
)
_PUBLISHED = re.compile(r"_(lymphnodes|posCADe|negCADe)_physicalPoints\.(mps|txt)$")
_UNSCORED = "masks hold no scores, so every detection has the score 1"


def read_detections(
    path: str | Path,
    name: str | None = None,
    *,
    boxes: bool = False,
    labels: Labels = "auto",
    structure: str = "",
    progress: Progress = SILENT,
) -> Detections:
    """Read the detections of a detector over all cases.

    Args:
        path: One of

            - ``nodes.csv``, of one or many cases: ``case``, ``x_mm``, ``y_mm``, ``z_mm`` (LPS mm), ``score``;
              optional ``region``, ``injected`` (0 or 1) and the box ``x_min_mm`` … ``z_max_mm``;
            - results as LUNA16 takes them: ``seriesuid``, ``coordX``, ``coordY``, ``coordZ`` (world, that is LPS,
              mm), ``probability``; ``seriesuid`` is a SeriesInstanceUID of the dataset, or the name of a case;
            - masks of nodes, of one case or in a folder: ``CASE.nii.gz`` as nnU-Net writes them,
              ``CASE/STRUCTURE.nii.gz`` as TotalSegmentator does, ``CASE/masks.nii.gz``
              (see :mod:`ctlymph.evaluation.readers.mask_files`). A detection is the centroid of a node. Masks
              hold no scores, so that all are 1; for a ``masks.nii.gz`` of ctlymph they come from its ``nodes.csv``;
            - boxes of nnDetection as JSON (see :mod:`ctlymph.evaluation.readers.nndetection_boxes`), and of MONAI
              (see :mod:`ctlymph.evaluation.readers.monai_boxes`); a detection is the centre of its box;
            - point lists of 3D Slicer, ``CASE.mrk.json`` (see :func:`ctlymph.io.slicer.read_markups`), with the
              scores that ctlymph wrote into them; without scores all are 1;
            - MITK point sets, ``CASE.mps``: LPS mm, without scores, so that all are 1;
            - a DICOM-SEG, or a report (TID 1500) next to it, which holds the scores; without them all are 1. The case
              is the PatientID;
            - a folder: of ``ctlymph detect`` over one CT or many; of one file a case, in any of these formats; or with
              the candidates of the public collection, which have no scores, so that all are 1.
        name: The detector's name; default: that of the file or folder.
        boxes: Whether boxes are needed (for the rule ``iou0.1``). For a ``nodes.csv`` of ``detect``, they are
            then taken from its masks.
        labels: What the labels of masks are: ``instances``, ``classes`` (every connected component is a detection), or
            ``auto``: what nnU-Net's or TotalSegmentator's files say; elsewhere classes if 1 is the only label.
        structure: The class of nnU-Net's or TotalSegmentator's masks to read, by its name or label; default: all of
            nnU-Net's, and those of TotalSegmentator's that are named after lymph nodes.
        progress: Shown while masks are read.

    Raises:
        CtlymphError: If nothing of these is there, frames or units are not stated or mixed, or a detection has no
            finite place or score; the file, and in a table the line, is named.
    """
    path = Path(path)
    if not path.exists():
        raise CtlymphError(f"{path} does not exist; give {_FORMATS}")
    detector = name or _name(path)
    if path.is_dir():
        return _read_folder(path, detector, boxes, labels, structure, progress)
    if path.suffix.lower() == ".csv":
        return _from_tables(detector, [path], boxes)
    if image_suffix(path):
        if _stands_for_all(path) and (path.parent / "nodes.csv").is_file():
            return _from_tables(detector, [path.parent / "nodes.csv"], boxes)
        return _from_masks(detector, find_label_maps(path, labels, structure), progress)
    return Detections.concatenate(detector, _read_file(path))


def _read_file(path: Path) -> Iterable[Detections]:
    """Read a file that is neither a table nor an image."""
    nndetection_boxes.refuse_pickles(path)
    if path.name.lower().endswith(".mrk.json"):
        return [_markups(path)]
    if path.name.lower().endswith(nndetection_boxes.SUFFIX):
        return nndetection_boxes.read_boxes([path])
    if path.suffix.lower() == ".json":
        return monai_boxes.read_boxes(path)
    if _PUBLISHED.search(path.name):
        raise CtlymphError(f"{path} holds part of a case's points; give the folder that it is in")
    if path.suffix.lower() == ".mps":
        return [_point_set(path)]
    if (found := read_dicom_nodes(path)) is not None:
        return [_segments(found)]
    raise CtlymphError(f"{path} holds no detections that can be read; give {_FORMATS}")


def _name(path: Path) -> str:
    """Name a detector after its file or folder; what is only called nodes.csv, after the folder that it is in."""
    return case_of_file(path, "".join(path.suffixes)) if path.is_file() else path.absolute().name


def _stands_for_all(mask: Path) -> bool:
    return mask.name.lower().startswith("masks.")


def _read_folder(
    folder: Path, name: str, boxes: bool, labels: Labels, structure: str, progress: Progress
) -> Detections:
    if (table := folder / "nodes.csv").is_file():
        return _from_tables(name, [table], boxes)
    if tables := _visible(folder.glob("*/nodes.csv")):  # of all files of ctlymph, the table says most
        return _from_tables(name, tables, boxes)
    markups = _visible(folder.glob("*.mrk.json")) or _visible(folder.glob("*/nodes.mrk.json"))
    sets = _visible(folder.glob("*.mps")) or _visible(folder.glob("*/nodes.mps"))
    if markups and sets:
        raise CtlymphError(f"{folder} holds markups (.mrk.json) and point sets (.mps); leave only one of them there")
    if markups or sets:
        return Detections.concatenate(name, [*map(_markups, markups), *map(_point_set, sets)])
    if found := _visible(folder.glob(f"*{nndetection_boxes.SUFFIX}")):
        return Detections.concatenate(name, nndetection_boxes.read_boxes(found))
    nndetection_boxes.refuse_pickles(folder)
    masks = find_label_maps(folder, labels, structure, nested=True) or find_structures(folder, structure)
    if masks:
        return _from_masks(name, masks, progress)
    return Detections.concatenate(name, _candidates(folder))


def _visible(paths: Iterable[Path]) -> list[Path]:
    return sorted(path for path in paths if not path.name.startswith(".") and not _PUBLISHED.search(path.name))


def _from_tables(name: str, paths: Sequence[Path], boxes: bool) -> Detections:
    tables = [_table(path) for path in paths]
    cases, case = indices([word for table in tables for word in _words(table)])
    boxes_mm = [table.boxes_mm() for table in tables if len(table)]
    if boxes and all(each is None for each in boxes_mm):
        boxes_mm = [_boxes_from_masks(table) for table in tables if len(table)]
    if len({each is None for each in boxes_mm}) > 1:
        raise CtlymphError(f"{name}: some tables hold boxes and others do not; give boxes in all of them, or in none")
    known = [each for each in boxes_mm if each is not None]
    regions = [region for table in tables for region in table.texts.get("region", [""] * len(table))]
    return Detections(
        name=name,
        cases=cases,
        case=case,
        points_mm=np.concatenate([table.points_mm(_point_names(table)) for table in tables]),
        scores=np.concatenate([table.numbers[_score_name(table)] for table in tables]),
        injected=np.concatenate([_injected(table) for table in tables]),
        boxes_mm=np.concatenate(known) if known else None,
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


def _boxes_from_masks(table: CsvTable) -> NDArray[np.float64] | None:
    """Return the boxes of a table's nodes from the masks that ``detect`` wrote with it; None where there are none."""
    words, nodes = _words(table), table.texts.get("node", [])
    found = np.empty((len(table), 2, 3))
    for word in dict.fromkeys(words):
        places = [table.path.parent / word / "masks.nii.gz"]
        if len(set(words)) == 1:
            places.append(table.path.parent / "masks.nii.gz")
        file = next((place for place in places if place.is_file()), None)
        if file is None or not all(node.isdecimal() for node in nodes) or not nodes:
            return None
        masks = read_masks(file)
        slices = find_objects(masks.labels)
        for row in (row for row, each in enumerate(words) if each == word):
            label = int(nodes[row])
            if not 0 < label <= len(slices) or slices[label - 1] is None:
                raise CtlymphError(f"{file} has no label {label}, which {table.path} has; write both again")
            found[row] = box_of_label(masks, slices[label - 1])
    return found


def _from_masks(name: str, folder: MaskFolder | None, progress: Progress) -> Detections:
    """Take the centroid of each node of masks."""
    if folder is None:
        raise CtlymphError(f"{name} holds no masks; give {_FORMATS}")

    def measure(masks: Masks) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        found = list(centroids_and_boxes(masks))
        points, boxes = np.array([each[1] for each in found]), np.array([each[2] for each in found])
        return points.reshape(-1, 3), boxes.reshape(-1, 2, 3)

    by_case, are_components = read_nodes(folder, measure, progress)
    what = "connected component" if are_components else "label"
    notes = (f"every {what} of its masks is a detection", _UNSCORED)
    parts = (Detections.of_case(case, points, boxes_mm=boxes) for case, (points, boxes) in by_case.items())
    return replace(Detections.concatenate(name, parts), notes=notes)


def _markups(path: Path) -> Detections:
    points = read_markups(path)
    scores = [point.score for point in points if point.score is not None]
    if scores and len(scores) < len(points):
        raise CtlymphError(f"{path}: {len(scores)} of {len(points)} points have a score; give all of them one, or none")
    return Detections.of_case(
        _case_of(path, ".mrk.json"), [point.point_mm for point in points], scores or [1.0] * len(points)
    )


def _point_set(path: Path) -> Detections:
    return Detections.of_case(_case_of(path, ".mps"), read_point_set(path))


def _case_of(path: Path, suffix: str) -> str:
    return indices([case_of_file(path, suffix)])[0][0]


def _segments(found: DicomNodes) -> Detections:
    """Take the centroid of each segment."""
    nodes = [each for layer in found.layers for each in centroids_and_boxes(layer)]
    labels = [label for label, _, _ in nodes]
    if found.scores and (missing := set(labels) - set(found.scores)):
        raise CtlymphError(
            f"the report gives segment {min(missing)} no score, but others; give all of them one, or none"
        )
    return Detections.of_case(
        found.case,
        [point for _, point, _ in nodes],
        [found.scores.get(label, 1.0) for label in labels],
        boxes_mm=np.array([box for _, _, box in nodes]).reshape(-1, 2, 3),
    )


def _candidates(folder: Path) -> list[Detections]:
    try:
        cases = [case for case in Collection(folder).cases() if "candidates" in case.has]
    except CtlymphError as error:
        raise CtlymphError(f"{folder} holds no detections ({error}); give {_FORMATS}") from error
    if not cases:
        raise CtlymphError(f"{folder} holds cases without candidates; give {_FORMATS}")
    found = []
    for case in cases:
        candidates = case.candidates()
        node_ids = tuple("" if candidate.row is None else str(candidate.row) for candidate in candidates)
        are_named = all(candidate.row is not None for candidate in candidates if candidate.positive)
        points = [candidate.point_mm for candidate in candidates]
        found.append(
            Detections.of_case(case.name, points, region=case.region, node_ids=node_ids if are_named else None)
        )
    return found
