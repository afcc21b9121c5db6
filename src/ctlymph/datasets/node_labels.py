"""Labelled nodes of one's own cases: label images, DICOM-SEG, and tables of points.

A table of points is a CSV file with the columns ``x_mm``, ``y_mm``, ``z_mm`` (LPS mm) and perhaps ``short_axis_mm``,
``long_axis_mm`` (empty: not known), ``region`` and ``case``. With ``case``, one table serves all cases:
a ``nodes.csv`` of this program is one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ctlymph.core.errors import CtlymphError
from ctlymph.core.volume import Geometry, Masks
from ctlymph.datasets.annotations import AnnotatedNode
from ctlymph.io.csv_table import CsvColumns, read_table
from ctlymph.io.dicom.files import files_below
from ctlymph.io.dicom.seg_reader import is_segmentation, read_segmentation
from ctlymph.io.images import image_suffix, read_masks
from ctlymph.measurement.axes import measure_shapes
from ctlymph.measurement.masks import on_grid, split

_POINT, _AXES = ("x_mm", "y_mm", "z_mm"), ("short_axis_mm", "long_axis_mm")
_COLUMNS = CsvColumns(("case", "region"), (*_POINT, *_AXES), ("case", "region", *_AXES))
_BINARY = ([1], [255])
"""Labels of a binary mask: it separates nodes from background, but not from each other."""


def read_labels(path: Path, grid: Geometry | None) -> Masks:
    """Read labelled nodes as an instance mask.

    Where the only label is 1 or 255, the mask is taken as binary: every separate piece of it is a node. Any other
    mask is taken as it is, one label a node.

    Args:
        path: An image (NIfTI, NRRD, MetaImage, Analyze), a DICOM-SEG, or a folder with one in it.
        grid: Geometry of the CT; None: the mask's own, which a DICOM-SEG does not have.

    Returns:
        The mask, on the CT's grid.

    Raises:
        CtlymphError: If it cannot be read, or does not lie on the CT's grid.
    """
    try:
        if path.is_file() and image_suffix(path):
            masks = read_masks(path)
            masks = masks if grid is None else on_grid(masks, grid)
        else:
            masks = _read_seg(path, grid)
        used = np.flatnonzero(np.bincount(masks.labels.ravel())[1:]) + 1
        return split(masks) if used.tolist() in _BINARY else masks
    except CtlymphError as error:
        raise error if str(path) in str(error) else CtlymphError(f"{path}: {error}") from error


def _read_seg(path: Path, grid: Geometry | None) -> Masks:
    files = files_below(path) if path.is_dir() else [path]
    file = next((file for file in files if is_segmentation(file)), None)
    if file is None:
        raise CtlymphError(f"{path} holds no labels; give an image (NIfTI, NRRD, MetaImage) or a DICOM-SEG")
    if grid is None:
        raise CtlymphError(f"{path} is a DICOM-SEG, which needs its CT; name the CT, too")
    return read_segmentation(file, grid)


def measured_nodes(masks: Masks) -> tuple[AnnotatedNode, ...]:
    """Measure the nodes of an instance mask.

    Returns:
        One node a label, ``row`` being the label: centroid, long and short axis.
    """
    nodes = []
    for label, shape in measure_shapes(masks).items():
        voxel = masks.geometry.nearest_voxel(shape.centroid_mm)
        axes = shape.short_axis.length_mm, shape.long_axis.length_mm
        nodes.append(AnnotatedNode(label, shape.centroid_mm, voxel, *axes))
    return tuple(nodes)


def read_points_table(path: Path, case: str) -> tuple[AnnotatedNode, ...]:
    """Read the nodes of one case from a table of points.

    Args:
        path: The table.
        case: Name of the case; where the table has a column ``case``, only its rows count.

    Returns:
        The nodes, ``row`` being their place among those of the case, from 1; ``index_ijk`` is None.

    Raises:
        CtlymphError: If the table cannot be read, a column is missing, or a number is none; the line is named.
    """
    table = read_table(path, _COLUMNS)
    for axis in _AXES:
        lengths = table.numbers.get(axis, np.empty(0))
        table.refuse(lengths <= 0, f"{axis} is not above 0; correct it, or leave it empty where it is not known")
    rows = [row for row in range(len(table)) if "case" not in table.texts or table.texts["case"][row] in ("", case)]
    nodes = []
    for number, row in enumerate(rows, start=1):
        x, y, z = (float(table.numbers[name][row]) for name in _POINT)
        short, long = (_known(table.numbers[axis][row]) if axis in table.numbers else None for axis in _AXES)
        region = table.texts["region"][row].lower() if "region" in table.texts else ""
        nodes.append(AnnotatedNode(number, (x, y, z), None, short, long, region))
    return tuple(nodes)


def with_sizes(nodes: Sequence[AnnotatedNode], masks: Masks) -> tuple[AnnotatedNode, ...]:
    """Return nodes whose unknown sizes are those of the label at their point, where there is one."""
    measured = {node.row: node for node in measured_nodes(masks)}
    found = []
    for node in nodes:
        label = _label_at(masks, node)
        if node.short_axis_mm is None and label in measured:
            same = measured[label]
            node = replace(node, short_axis_mm=same.short_axis_mm, long_axis_mm=same.long_axis_mm)
        found.append(node)
    return tuple(found)


def _label_at(masks: Masks, node: AnnotatedNode) -> int:
    if not masks.geometry.contains(node.point_mm).all():
        return 0
    i, j, k = masks.geometry.nearest_voxel(node.point_mm)
    return int(masks.labels[k, j, i])


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
