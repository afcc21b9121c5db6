"""The true nodes, read from annotations, tables or masks. All places are LPS mm."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
from scipy.ndimage import find_objects

from ctlymph.core.errors import CtlymphError, UsageError, shown
from ctlymph.core.progress import SILENT, Progress
from ctlymph.core.volume import Masks
from ctlymph.datasets.case import Case, Collection
from ctlymph.datasets.cases_csv import CASES, TEST
from ctlymph.evaluation.detections import GroundTruth
from ctlymph.evaluation.readers.case_names import KnownCases, case_of, case_of_file, indices, series_of
from ctlymph.evaluation.readers.dicom_results import read_dicom_nodes
from ctlymph.evaluation.readers.mask_files import (
    Labels,
    MaskFolder,
    box_of_label,
    find_label_maps,
    label_maps,
    read_nodes,
)
from ctlymph.io.csv_table import BOX, CsvColumns, CsvTable, column_names, read_table
from ctlymph.io.images import image_suffix, read_masks
from ctlymph.measurement.axes import measure_shapes
from ctlymph.measurement.masks import pieces

_POINT, _AXES = ("x_mm", "y_mm", "z_mm"), ("short_axis_mm", "long_axis_mm")
_LABELS = ("node", "station", "patient", "annotated_region")
_COLUMNS = CsvColumns(("case", *_LABELS), (*_POINT, *_AXES, *BOX), (*_LABELS, *_AXES, *BOX))
_LUNA_POINT = ("coordX", "coordY", "coordZ")
_LUNA = CsvColumns(("seriesuid",), (*_LUNA_POINT, "diameter_mm"))
_LUNA_NOTE = "LUNA16's annotations hold one diameter a node, which is taken as its short and its long axis"
_TABLES = ("truth.csv", "nodes.csv", "annotations.csv")
_COMPONENTS_NOTE = "every connected component of the true masks is a node, so that nodes that touch count as one"
_FORMATS = (
    "a folder with a cases.csv, the folder of the collection, a nodes.csv or truth.csv, an annotations.csv as in "
    "LUNA16, an instance mask (NIfTI, NRRD, MetaImage) or a folder of masks, a DICOM-SEG or its report, or a folder of "
    "CTs and their DICOM-SEG"
)


def read_ground_truth(
    path: str | Path,
    cases: Sequence[str] = (),
    *,
    boxes: bool = False,
    labels: Labels = "auto",
    split: Literal["train", "test"] | None = None,
    progress: Progress = SILENT,
) -> GroundTruth:
    """Read the true nodes of all cases.

    Args:
        path: One of

            - the folder of a dataset: any with a ``cases.csv`` (see :mod:`ctlymph.datasets.cases_csv`), or of the
              public collection: its annotations, or without these its masks (images, or DICOM-SEG next to their CTs);
            - any folder of CTs and a DICOM-SEG for each: every segment is a node;
            - a ``nodes.csv``, as an export of a dataset as csv writes it, or ``truth.csv`` of a
              phantom: ``case``, ``x_mm``, ``y_mm``, ``z_mm`` (LPS mm), ``short_axis_mm`` (empty: not known); optional
              ``node``, ``long_axis_mm``, ``station``, the box ``x_min_mm`` … ``z_max_mm``, and of the case ``patient``
              and ``annotated_region`` (a node's own ``region`` does not say where else somebody looked); or the
              folder it is in, or a folder of ``CASE/truth.csv``;
            - ``annotations.csv`` as in LUNA16: ``seriesuid``, ``coordX``, ``coordY``, ``coordZ`` (world, that is LPS,
              mm), ``diameter_mm``, which is taken as both axes;
            - an instance mask, ``CASE.nii.gz``: every label is a node, whether labels have gaps or not; its place
              is the centroid and its sizes are measured. Or a folder of ``CASE_mask.nii.gz``, ``CASE.nii.gz`` or
              ``CASE/masks.nii.gz``.
        cases: Names (or SeriesInstanceUIDs) of all annotated cases; nodes of others are left out. A table does not
            list cases without nodes, so ``cases`` is needed with a table if there are any. Empty: all in ``path``.
        boxes: Whether nodes need boxes, for the rule ``iou0.1``. Masks next to a table give them: the label is the
            ``node``. Of the public collection, the masks are then the nodes: their labels are not rows of its
            annotations.
        labels: What the labels of masks are: ``instances``, ``classes`` (every connected component is a node), or
            ``auto``: what nnU-Net's files say, elsewhere instances.
        split: Only the test cases of a ``cases.csv``, or all others.
        progress: Shown while masks are read.

    Raises:
        CtlymphError: If nothing of these is there, it cannot be read, one of ``cases`` is not there (a table cannot
            tell, so it is taken as a case without nodes), or boxes are needed and there are none.
    """
    path = Path(path)
    if not path.exists():
        raise CtlymphError(f"{path} does not exist; give {_FORMATS}")
    chosen = tuple(dict.fromkeys(map(case_of, cases)))
    if split is not None:
        chosen = _of_split(path, chosen, split)
    truth = GroundTruth.concatenate(_read(path, chosen, boxes, labels, progress))
    if boxes and truth.boxes_mm is None and len(truth):
        raise CtlymphError(f"{path} holds no boxes of nodes; give instance masks, or choose another hit rule")
    return truth


def _of_split(path: Path, cases: tuple[str, ...], split: str) -> tuple[str, ...]:
    if not (path / CASES).is_file():
        raise UsageError(f"{path} has no {CASES}, which says what the {split} cases are; leave the split out")
    listed = Collection(path).cases(names=cases)
    chosen = tuple(case.name for case in listed if case.is_test == (split == TEST))
    if not chosen:
        raise CtlymphError(f"{path / CASES} names no {split} case among those to evaluate")
    return chosen


def masks_read_from(path: Path) -> tuple[Path, ...]:
    """Return the label maps that :func:`read_ground_truth` takes the nodes from; none where it reads something else."""
    if not path.is_dir() or (path / CASES).is_file() or _tables(path):
        return ()
    return tuple(label_maps(path).values())


def read_cases(path: Path) -> tuple[str, ...]:
    """Read the names of cases, one a line; empty lines, and what follows ``#``, are left out.

    Raises:
        CtlymphError: If it cannot be read, or holds no name.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise CtlymphError(f"cannot read {path}: {shown(error)}; give a text file with one case a line") from error
    names = tuple(name for line in lines if (name := line.partition("#")[0].strip()))
    if not names:
        raise CtlymphError(f"{path} names no case; give a text file with one case a line")
    return names


def _read(path: Path, cases: tuple[str, ...], boxes: bool, labels: Labels, progress: Progress) -> Iterable[GroundTruth]:
    known = KnownCases(path if path.is_dir() else path.parent)
    if path.is_file():
        if path.suffix.lower() == ".csv":
            return _from_tables([path], cases, known)
        if image_suffix(path):
            return _from_masks(find_label_maps(path, labels, ""), cases, known, progress)
        if (found := read_dicom_nodes(path)) is not None:
            return [_of_layers(found.case, found.layers)]
        raise CtlymphError(f"{path} holds no true nodes that can be read; give {_FORMATS}")
    if (path / CASES).is_file():
        return _from_dataset(path, cases, boxes, progress)
    if tables := _tables(path):
        truth = _from_tables(tables, cases, known)
        masks = label_maps(path) if boxes else {}
        return _with_boxes(truth, masks, progress) if masks else truth
    if maps := find_label_maps(path, labels, ""):
        return _from_masks(maps, cases, known, progress)
    return _from_dataset(path, cases, boxes, progress)


def _tables(folder: Path) -> list[Path]:
    over_all = [table for name in _TABLES if (table := folder / name).is_file()]
    return over_all[:1] or sorted(folder.glob("*/truth.csv"))


def _from_tables(paths: Sequence[Path], cases: tuple[str, ...], known: KnownCases) -> list[GroundTruth]:
    found: dict[str, GroundTruth] = {}
    for path in paths:
        for part in _of_table(path, known):
            (case,) = part.cases
            if case in found:
                raise CtlymphError(f"{path} holds {shown(case)}, which another table holds too; leave one out")
            found[case] = part
    if cases and found and not found.keys() & set(cases):
        raise CtlymphError(
            f"{paths[0]} holds nodes of {shown(next(iter(found)))} and others, but of none of the {len(cases)} cases "
            "named; name cases as it does"
        )
    return [found.get(case) or _without_nodes(case, known) for case in cases or found]


def _without_nodes(case: str, known: KnownCases) -> GroundTruth:
    return GroundTruth.of_case(case, [], patient=known[case].patient, region=known[case].region)


def _with_boxes(parts: Sequence[GroundTruth], masks: dict[str, Path], progress: Progress) -> Iterator[GroundTruth]:
    """Yield the parts with the boxes of the labels that their nodes are named after; those with boxes keep them."""
    with progress.task("Reading masks", len(parts)) as advance:
        for part in parts:
            (case,) = part.cases
            if len(part) and part.boxes_mm is None:
                if case not in masks:
                    raise CtlymphError(f"there is no mask of {shown(case)} next to its table; add it")
                read = read_masks(masks[case])
                slices = {str(label): box for label, box in enumerate(find_objects(read.labels), start=1) if box}
                if absent := [name for name in part.ids if name not in slices]:
                    raise CtlymphError(f"{masks[case]} has no label {shown(absent[0])}, which its table has; add it")
                part = replace(part, boxes_mm=np.stack([box_of_label(read, slices[name]) for name in part.ids]))
            yield part
            advance(1)


def _of_table(path: Path, known: KnownCases) -> Iterator[GroundTruth]:
    """Yield the nodes of each case of a table; a node without a name is called by its place among those of its case."""
    is_luna = "coordX" in column_names(path)
    table = read_table(path, _LUNA if is_luna else _COLUMNS)
    if not is_luna and "short_axis_mm" not in table.numbers:
        raise CtlymphError(f"{path} has no column short_axis_mm; add it, and leave it empty where it is not known")
    for axis in ("diameter_mm",) if is_luna else _AXES:
        lengths = table.numbers.get(axis, np.empty(0))
        table.refuse(lengths <= 0, f"{axis} is not above 0; correct it, or leave it empty where it is not known")
    if not len(table) and path.name == "truth.csv":
        yield _without_nodes(case_of_file(path, ".csv"), known)
    names, case = indices(table.texts["seriesuid" if is_luna else "case"])
    points_mm, boxes_mm = table.points_mm(_LUNA_POINT if is_luna else _POINT), table.boxes_mm()
    short, long = ("diameter_mm", "diameter_mm") if is_luna else _AXES
    for number, name in enumerate(names):
        rows = np.flatnonzero(case == number)
        texts = {column: [table.texts[column][row] for row in rows] for column in _LABELS if column in table.texts}
        yield GroundTruth.of_case(
            name,
            points_mm[rows],
            patient=_of_case(table, "patient", rows.tolist()) or known[name].patient,
            region=_of_case(table, "annotated_region", rows.tolist()) or known[name].region,
            short_axis_mm=table.numbers[short][rows],
            long_axis_mm=table.numbers[long][rows] if long in table.numbers else None,
            ids=[each or str(place) for place, each in enumerate(texts.get("node", [""] * len(rows)), start=1)],
            stations=texts.get("station"),
            boxes_mm=None if boxes_mm is None else boxes_mm[rows],
            notes=(_LUNA_NOTE,) if is_luna else (),
        )


def _of_case(table: CsvTable, column: str, rows: Sequence[int]) -> str:
    """Return what a column says of the case that these rows are of; empty if it says nothing."""
    words = {table.texts[column][row] for row in rows} - {""} if column in table.texts else set()
    if len(words) > 1:
        line = table.lines[rows[0]]
        raise CtlymphError(
            f"{table.path}, line {line} and others of its case: {column} is {shown(' and '.join(sorted(words)))}; "
            "give one for the case"
        )
    return words.pop() if words else ""


def _from_masks(
    folder: MaskFolder | None, cases: tuple[str, ...], known: KnownCases, progress: Progress
) -> list[GroundTruth]:
    if folder is None:
        raise CtlymphError(f"there are no masks; give {_FORMATS}")
    if absent := [case for case in cases if case not in folder.files]:
        raise CtlymphError(
            f"there is no mask of {shown(absent[0])} among those of {len(folder.files)} cases; give it too"
        )
    chosen = replace(folder, files={case: folder.files[case] for case in cases or folder.files})
    measured, are_components = read_nodes(
        replace(chosen, labels="instances" if folder.labels == "auto" else folder.labels),
        lambda masks: (_of_layers("", (masks,)), sum(pieces(masks))),
        progress,
    )
    nodes = {case: part for case, (part, _) in measured.items()}
    labels = {label for part in nodes.values() for label in part.ids}
    count = sum(number for _, number in measured.values())
    if not are_components and labels in ({"1"}, {"255"}) and count > sum(map(len, nodes.values())):
        raise CtlymphError(
            f"{next(iter(chosen.files.values()))[0]}: the only label is {labels.pop()}, and what it marks falls into "
            f"{count} pieces over {len(nodes)} cases; say that labels are classes, so that each piece is a node, or "
            "give every node a label of its own"
        )
    notes = (_COMPONENTS_NOTE,) if are_components else ()
    return [
        replace(part, cases=(case,), patients=(known[case].patient,), regions=(known[case].region,), notes=notes)
        for case, part in nodes.items()
    ]


def _of_layers(case: str, layers: Sequence[Masks], patient: str = "", region: str = "") -> GroundTruth:
    """Measure the nodes of instance masks; their labels are their names."""
    found = [
        (str(label), shape, box_of_label(masks, find_objects(masks.labels)[label - 1]))
        for masks in layers
        for label, shape in measure_shapes(masks).items()
    ]
    return GroundTruth.of_case(
        case,
        [shape.centroid_mm for _, shape, _ in found],
        patient=patient,
        region=region,
        short_axis_mm=[shape.short_axis.length_mm for _, shape, _ in found],
        long_axis_mm=[shape.long_axis.length_mm for _, shape, _ in found],
        ids=[label for label, _, _ in found],
        boxes_mm=np.array([box for _, _, box in found]).reshape(-1, 2, 3),
    )


def _from_dataset(folder: Path, cases: tuple[str, ...], boxes: bool, progress: Progress) -> list[GroundTruth]:
    try:
        collection = Collection(folder)
        everything = collection.cases()
        series = series_of(everything)
        chosen = collection.cases(names=tuple(series.get(case, case) for case in cases))
    except CtlymphError as error:
        raise CtlymphError(f"{folder} holds no true nodes ({error}); give {_FORMATS}") from error
    annotated = not boxes and any("annotations" in case.has for case in chosen)
    kinds = {"annotations"} if annotated else {"masks", "seg"}
    available = [case for case in chosen if kinds & case.has]
    what = "annotations" if annotated else "masks"
    if not available:
        raise CtlymphError(f"{folder} holds cases without {what}; give {_FORMATS}")
    if cases and len(available) < len(chosen):
        absent = next(case.name for case in chosen if not kinds & case.has)
        raise CtlymphError(f"{folder} holds no {what} of {absent}; fetch them, or leave the case out")
    found = []
    with progress.task(f"Reading {what}", len(available)) as advance:
        for case in available:
            found.append(_annotated(case) if annotated else _of_layers(case.name, (case.masks(),), case.patient))
            advance(1)
    regions = {case.name: case.region for case in available}
    return [replace(part, regions=(regions[part.cases[0]],), series=series) for part in found]


def _annotated(case: Case) -> GroundTruth:
    nodes = case.nodes()
    short, long = (
        [np.nan if axis is None else axis for axis in axes]
        for axes in ([node.short_axis_mm for node in nodes], [node.long_axis_mm for node in nodes])
    )
    return GroundTruth.of_case(
        case.name,
        [node.point_mm for node in nodes],
        patient=case.patient,
        short_axis_mm=short,
        long_axis_mm=long,
        ids=[str(node.row) for node in nodes],
        node_regions=tuple(node.region for node in nodes) if any(node.region for node in nodes) else None,
    )
