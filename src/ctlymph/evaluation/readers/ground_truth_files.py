"""The true nodes, read from annotations, tables or masks. All places are LPS mm."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ctlymph.core.errors import CtlymphError, shown
from ctlymph.core.nodes import Point
from ctlymph.core.progress import SILENT, Progress
from ctlymph.datasets.cases_csv import CASES
from ctlymph.evaluation.detections import GroundTruth
from ctlymph.evaluation.readers.case_names import case_of, case_of_file, indices, patient_of, region_of
from ctlymph.evaluation.readers.dicom_results import read_objects
from ctlymph.io.csv_table import BOX, CsvColumns, CsvTable, read_table

if TYPE_CHECKING:
    from ctlymph.core.volume import Masks
    from ctlymph.datasets.case import Case

_POINT, _AXES = ("x_mm", "y_mm", "z_mm"), ("short_axis_mm", "long_axis_mm")
_LABELS = ("node", "station", "patient", "annotated_region")
_COLUMNS = CsvColumns(("case", *_LABELS), (*_POINT, *_AXES, *BOX), (*_LABELS, *_AXES, *BOX))
_FORMATS = (
    "a folder with a cases.csv, the folder of the collection, a nodes.csv or truth.csv, an instance mask (NIfTI, NRRD, "
    "MetaImage) or a folder of masks, a DICOM-SEG or its report, or a folder of CTs and their DICOM-SEG"
)


@dataclass(frozen=True)
class _Node:
    """A true node; sizes in mm, NaN where not known."""

    name: str
    point_mm: Point
    short_axis_mm: float = np.nan
    long_axis_mm: float = np.nan
    station: str = ""
    box_mm: NDArray[np.float64] | None = field(default=None, compare=False)
    region: str = ""


@dataclass(frozen=True)
class _CaseTruth:
    """The nodes of a case that was looked at, perhaps none."""

    name: str
    patient: str
    region: str
    nodes: tuple[_Node, ...]


def read_ground_truth(
    path: str | Path, cases: Sequence[str] = (), *, boxes: bool = False, progress: Progress = SILENT
) -> GroundTruth:
    """Read the true nodes of all cases.

    Args:
        path: One of

            - a folder with a ``cases.csv`` (see :mod:`ctlymph.datasets.cases_csv`): the points or labels named there;
            - a folder of the public collection: its annotations, or without these the masks (NIfTI or DICOM-SEG
              beside its CT) in it;
            - any folder of CTs and a DICOM-SEG for each: every segment is a node;
            - a ``nodes.csv``, as an export of a collection as csv writes it, or ``truth.csv`` of a
              phantom: ``case``, ``x_mm``, ``y_mm``, ``z_mm`` (LPS mm), ``short_axis_mm`` (empty: not known); perhaps
              ``node``, ``long_axis_mm``, ``station``, the box ``x_min_mm`` … ``z_max_mm``, and of the case ``patient``
              and ``annotated_region`` (known for the public collection; the nodes' ``region`` does not tell where
              else somebody looked); or the folder it is in, or a folder of ``CASE/truth.csv``;
            - an instance mask, ``CASE.nii.gz``: every label is a node, whether labels have gaps or not; its place
              is the centroid and its sizes are measured. Or a folder of ``CASE_mask.nii.gz``, ``CASE.nii.gz`` or
              ``CASE/masks.nii.gz``.
        cases: Names of all cases that were looked at; nodes of others are left out. A table does not tell of cases
            without nodes, so that there it is needed if there were any. Empty: all that ``path`` tells of.
        boxes: Whether nodes need boxes, for the rule ``iou0.1``. Beside a table, masks give them: the label is the
            ``node``. Of the collection, the masks are then the nodes: their labels are not rows of its annotations.
        progress: Shown while masks are read.

    Raises:
        CtlymphError: If nothing of these is there, it cannot be read, one of ``cases`` is not there (a table cannot
            tell, so it is taken as a case without nodes), or boxes are wanted and there are none.
    """
    path = Path(path)
    if not path.exists():
        raise CtlymphError(f"{path} does not exist; give {_FORMATS}")
    wanted = tuple(dict.fromkeys(map(case_of, cases)))
    truth = _truth(list(_read(path, wanted, boxes, progress)))
    if boxes and truth.boxes_mm is None and len(truth):
        raise CtlymphError(f"{path} holds no boxes of nodes; give instance masks, or choose another rule of hits")
    return truth


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


def _read(path: Path, cases: tuple[str, ...], boxes: bool, progress: Progress) -> Iterable[_CaseTruth]:
    from ctlymph.io.images import image_suffix

    if path.is_file():
        if path.suffix.lower() == ".csv":
            return _from_tables([path], cases)
        if image_suffix(path):
            return _from_images({_case_of_mask(path): path}, cases, progress)
        if (objects := read_objects(path)) is not None:
            nodes = tuple(node for layer in objects.layers for node in _measured(layer))
            return [_CaseTruth(objects.case, objects.case, "", nodes)]
        raise CtlymphError(f"{path} is nothing that true nodes are read from; give {_FORMATS}")
    if (path / CASES).is_file():
        return _from_collection(path, cases, boxes, progress)
    masks = _mask_files(path)
    tables = _tables(path)
    if tables:
        found = _from_tables(tables, cases)
        return _with_boxes(found, masks, progress) if boxes and masks else found
    return _from_images(masks, cases, progress) if masks else _from_collection(path, cases, boxes, progress)


def _tables(folder: Path) -> list[Path]:
    over_all = [table for name in ("truth.csv", "nodes.csv") if (table := folder / name).is_file()]
    return over_all[:1] or sorted(folder.glob("*/truth.csv"))


def _mask_files(folder: Path) -> dict[str, Path]:
    """Find masks, by case: where some are named ``…_mask``, images of other names are not masks."""
    from ctlymph.io.images import image_suffix

    images = [path for path in (*folder.iterdir(), *folder.glob("*/masks.*")) if path.is_file() and image_suffix(path)]
    images = [path for path in images if not path.name.startswith(".") and path.suffix.lower() != ".img"]
    named = [path for path in images if _stem(path).endswith("_mask")]
    found: dict[str, Path] = {}
    for path in sorted(named or images):
        case = _case_of_mask(path)
        if case in found:
            raise CtlymphError(f"{found[case]} and {path} are both masks of {case}; leave only one of them there")
        found[case] = path
    return found


def _stem(path: Path) -> str:
    from ctlymph.io.images import image_suffix

    return path.name[: -len(image_suffix(path) or "")]


def _case_of_mask(path: Path) -> str:
    from ctlymph.io.images import image_suffix

    suffix = path.name[-len(image_suffix(path) or "") :]
    return case_of(case_of_file(path, f"_mask{suffix}" if _stem(path).endswith("_mask") else suffix))


def _from_tables(paths: Sequence[Path], cases: tuple[str, ...]) -> list[_CaseTruth]:
    found: dict[str, _CaseTruth] = {}
    for path in paths:
        for case in _of_table(path):
            if case.name in found:
                raise CtlymphError(f"{path} holds {shown(case.name)}, which another table holds too; leave one out")
            found[case.name] = case
    if cases and found and not found.keys() & set(cases):
        raise CtlymphError(
            f"{paths[0]} holds nodes of {shown(next(iter(found)))} and others, but of none of the {len(cases)} cases "
            "named; name cases as it does"
        )
    return [found.get(name) or _CaseTruth(name, patient_of(name), region_of(name), ()) for name in cases or found]


def _with_boxes(cases: Sequence[_CaseTruth], masks: dict[str, Path], progress: Progress) -> Iterator[_CaseTruth]:
    """Give nodes of tables the boxes of the labels that have their names; what has a box keeps it."""
    from ctlymph.io.images import read_masks

    with progress.task("Reading masks", len(cases)) as advance:
        for case in cases:
            without = [node.name for node in case.nodes if node.box_mm is None]
            if without and case.name not in masks:
                raise CtlymphError(f"there is no mask of {shown(case.name)} beside its table; add it")
            labels = _measured(read_masks(masks[case.name])) if without else ()
            boxes = {node.name: node.box_mm for node in labels}
            if absent := [name for name in without if name not in boxes]:
                raise CtlymphError(f"{masks[case.name]} has no label {shown(absent[0])}, which its table has; add it")
            nodes = (node if node.box_mm is not None else replace(node, box_mm=boxes[node.name]) for node in case.nodes)
            yield replace(case, nodes=tuple(nodes))
            advance(1)


def _of_table(path: Path) -> Iterator[_CaseTruth]:
    table = read_table(path, _COLUMNS)
    if "short_axis_mm" not in table.numbers:
        raise CtlymphError(f"{path} has no column short_axis_mm; add it, and leave it empty where it is not known")
    for axis in _AXES:
        lengths = table.numbers.get(axis, np.empty(0))
        table.refuse(lengths <= 0, f"{axis} is not above 0; correct it, or leave it empty where it is not known")
    if not len(table) and path.name == "truth.csv":
        name = case_of_file(path, ".csv")
        yield _CaseTruth(name, patient_of(name), region_of(name), ())
    names, case = indices(table.texts["case"])
    boxes = table.boxes_mm()
    for number, name in enumerate(names):
        rows = np.flatnonzero(case == number).tolist()
        nodes = tuple(_node(table, boxes, row, str(place)) for place, row in enumerate(rows, start=1))
        patient, region = _of_case(table, "patient", rows), _of_case(table, "annotated_region", rows)
        yield _CaseTruth(name, patient or patient_of(name), region or region_of(name), nodes)


def _node(table: CsvTable, boxes: NDArray[np.float64] | None, row: int, place: str) -> _Node:
    """Give one row; a node without a name is called by its place among those of its case."""
    texts = {name: words[row] for name, words in table.texts.items()}
    x, y, z = (float(table.numbers[name][row]) for name in _POINT)
    short, long = (float(table.numbers[axis][row]) if axis in table.numbers else np.nan for axis in _AXES)
    box = None if boxes is None else boxes[row]
    return _Node(texts.get("node") or place, (x, y, z), short, long, texts.get("station", ""), box)


def _of_case(table: CsvTable, column: str, rows: Sequence[int]) -> str:
    """Give what a column says of the case that these rows are of; empty if it says nothing."""
    words = {table.texts[column][row] for row in rows} - {""} if column in table.texts else set()
    if len(words) > 1:
        line = table.lines[rows[0]]
        raise CtlymphError(
            f"{table.path}, line {line} and others of its case: {column} is {shown(' and '.join(sorted(words)))}; "
            "give one for the case"
        )
    return words.pop() if words else ""


def _from_images(files: dict[str, Path], cases: tuple[str, ...], progress: Progress) -> list[_CaseTruth]:
    from ctlymph.io.images import read_masks

    if absent := [case for case in cases if case not in files]:
        raise CtlymphError(f"there is no mask of {shown(absent[0])} among those of {len(files)} cases; give it too")
    chosen = [(case, files[case]) for case in cases or files]
    found, pieces, labels = [], 0, set()
    with progress.task("Reading masks", len(chosen)) as advance:
        for case, path in chosen:
            masks = read_masks(path)
            found.append(_CaseTruth(case, patient_of(case), region_of(case), _measured(masks)))
            labels |= {node.name for node in found[-1].nodes}
            pieces += _separate_pieces(masks)
            advance(1)
    if labels in ({"1"}, {"255"}) and pieces > sum(len(case.nodes) for case in found):
        raise CtlymphError(
            f"{chosen[0][1]}: the only label is {labels.pop()}, and what it marks falls into {pieces} pieces over "
            f"{len(chosen)} cases; give every node a label of its own (a single node in pieces: any other label)"
        )
    return found


def _separate_pieces(masks: Masks) -> int:
    from ctlymph.measurement.masks import pieces

    return sum(pieces(masks))


def _measured(masks: Masks) -> tuple[_Node, ...]:
    """Measure the nodes of an instance mask; its labels are their names."""
    from scipy.ndimage import find_objects

    from ctlymph.measurement.axes import measure_shapes

    boxes = find_objects(masks.labels)
    nodes = []
    for label, shape in measure_shapes(masks).items():
        z, y, x = boxes[label - 1]
        low, high = np.array([[part.start, part.stop] for part in (x, y, z)]).T - 0.5
        corners_mm = masks.geometry.index_to_mm(np.where(np.indices((2, 2, 2)).reshape(3, 8).T, high, low))
        box_mm = np.stack([corners_mm.min(axis=0), corners_mm.max(axis=0)])
        axes = shape.short_axis.length_mm, shape.long_axis.length_mm
        nodes.append(_Node(str(label), shape.centroid_mm, *axes, box_mm=box_mm))
    return tuple(nodes)


def _from_collection(folder: Path, cases: tuple[str, ...], boxes: bool, progress: Progress) -> list[_CaseTruth]:
    from ctlymph.datasets.case import Collection

    try:
        collection = Collection(folder)
        chosen = collection.cases(names=cases)
    except CtlymphError as error:
        raise CtlymphError(f"{folder} holds no true nodes ({error}); give {_FORMATS}") from error
    annotated = not boxes and any("annotations" in case.has for case in chosen)
    kinds = {"annotations"} if annotated else {"masks", "seg"}
    known = [case for case in chosen if kinds & case.has]
    what = "annotations" if annotated else "masks"
    if not known:
        raise CtlymphError(f"{folder} holds cases without {what}; give {_FORMATS}")
    if cases and len(known) < len(chosen):
        absent = next(case.name for case in chosen if not kinds & case.has)
        raise CtlymphError(f"{folder} holds no {what} of {absent}; fetch them, or leave the case out")
    found = []
    with progress.task(f"Reading {what}", len(known)) as advance:
        for case in known:
            nodes = _annotated(case) if annotated else _measured(case.masks())
            found.append(_CaseTruth(case.name, case.patient, case.region, nodes))
            advance(1)
    return found


def _annotated(case: Case) -> tuple[_Node, ...]:
    def length(known: float | None) -> float:
        return np.nan if known is None else known

    return tuple(
        _Node(str(node.row), node.point_mm, length(node.short_axis_mm), length(node.long_axis_mm), region=node.region)
        for node in case.nodes()
    )


def _truth(cases: Sequence[_CaseTruth]) -> GroundTruth:
    nodes = [node for case in cases for node in case.nodes]
    boxes = [node.box_mm for node in nodes if node.box_mm is not None]
    return GroundTruth(
        cases=tuple(case.name for case in cases),
        patients=tuple(case.patient for case in cases),
        regions=tuple(case.region for case in cases),
        case=np.repeat(np.arange(len(cases), dtype=np.int32), [len(case.nodes) for case in cases]),
        points_mm=np.array([node.point_mm for node in nodes], dtype=np.float64).reshape(-1, 3),
        short_axis_mm=np.array([node.short_axis_mm for node in nodes], dtype=np.float64),
        long_axis_mm=np.array([node.long_axis_mm for node in nodes], dtype=np.float64),
        stations=tuple(node.station for node in nodes),
        ids=tuple(node.name for node in nodes),
        boxes_mm=np.stack(boxes) if boxes and len(boxes) == len(nodes) else None,
        node_regions=tuple(node.region for node in nodes) if any(node.region for node in nodes) else None,
    )
