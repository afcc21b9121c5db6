"""Boxes that nnDetection found, from JSON. Its own results are pickles, which can run code, and are never read.

Two forms of ``CASE_boxes.json`` are read:

- what ``nndet_boxes2nii`` writes, together with ``CASE_boxes.nii.gz``, from which the geometry is taken:
  ``{"1": {"score": 0.9, "label": 0, "box": [z0, y0, z1, y1, x0, x1]}, …}``;
- the fields of the pickle ``CASE_boxes.pkl`` written as JSON, with all digits and the geometry: ``pred_boxes``,
  ``pred_scores``, ``itk_origin``, ``itk_spacing``, ``itk_direction`` (``docs/evaluation.md`` has the few lines).

A box is in voxels of the image's array. Its corners are the first voxels outside the node, on either side.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctlymph.core.errors import CtlymphError, shown
from ctlymph.core.volume import Geometry
from ctlymph.evaluation.detections import Detections
from ctlymph.evaluation.readers.case_names import case_of
from ctlymph.io.images import read_masks

SUFFIX = "_boxes.json"
_PICKLED = "_boxes.pkl"
_NOTHING_CUT = (
    "nndet_boxes2nii leaves out boxes below its threshold (0.5 unless told otherwise); export with threshold 0"
)


def refuse_pickles(path: Path) -> None:
    """Raise an error for nnDetection's pickles.

    Raises:
        CtlymphError: If ``path`` is a pickle, or a folder with nnDetection's and without its JSON.
    """
    pickles = sorted(path.glob(f"*{_PICKLED}")) if path.is_dir() else [path] if path.suffix.lower() == ".pkl" else []
    if pickles:
        raise CtlymphError(
            f"{pickles[0]} is a pickle, which can run code and is not read; write its fields as JSON where nnDetection "
            "is installed (docs/evaluation.md shows how), or run its nndet_boxes2nii with threshold 0"
        )


def read_boxes(paths: list[Path]) -> Iterator[Detections]:
    """Read the boxes of cases, one file each.

    Raises:
        CtlymphError: If a file is not nnDetection's, its geometry is not there, or a number is none.
    """
    for path in paths:
        document = _document(path)
        is_whole = "pred_boxes" in document
        if document.get("restore") is False:
            raise CtlymphError(
                f"{path} holds boxes in resampled images; predict with restore, in the images' own voxels"
            )
        boxes, scores = (document.get("pred_boxes"), document.get("pred_scores")) if is_whole else _instances(document)
        corners = _numbers(path, "boxes", boxes, 6)
        values = _numbers(path, "scores", scores, 1).reshape(-1)
        if len(values) != len(corners):
            raise CtlymphError(f"{path} has {len(values)} scores for {len(corners)} boxes; give one a box")
        boxes_mm = _in_mm(corners, _stated_geometry(path, document) if is_whole else _image_geometry(path))
        yield Detections.of_case(
            case_of(path.name[: -len(SUFFIX)]),
            boxes_mm.mean(axis=1),
            values,
            boxes_mm=boxes_mm,
            notes=() if is_whole else (_NOTHING_CUT,),
        )


def _document(path: Path) -> Mapping[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise CtlymphError(f"cannot read {path}: {shown(error)}; give boxes of nnDetection as JSON") from error
    if not isinstance(document, dict):
        raise CtlymphError(f"{path} is not what nnDetection writes; give boxes with their scores")
    return document


def _instances(document: Mapping[str, Any]) -> tuple[list[Any], list[Any]]:
    found = [each if isinstance(each, dict) else {} for each in document.values()]
    return [each.get("box") for each in found], [each.get("score") for each in found]


def _numbers(path: Path, what: str, given: Any, columns: int) -> NDArray[np.float64]:
    try:
        array = np.array(given, dtype=np.float64)
    except (TypeError, ValueError):
        array = np.array(np.nan)
    if array.size % columns or not np.isfinite(array).all() or array.ndim > 2 or given is None:
        raise CtlymphError(f"{path}: its {what} are not lists of {columns} finite numbers; export it again")
    return array.reshape(-1, columns)


def _in_mm(corners: NDArray[np.float64], geometry: Geometry) -> NDArray[np.float64]:
    """Turn boxes (z0, y0, z1, y1, x0, x1) into low and high corners in mm, at the outer faces of their voxels."""
    low, high = corners[:, [4, 1, 0]], corners[:, [5, 3, 2]]
    if (low > high).any():
        raise CtlymphError("a box of nnDetection ends before it begins; its order is z0, y0, z1, y1, x0, x1")
    inset = np.minimum(0.5, (high - low) / 2)
    ends = np.stack([low + inset, high - inset], axis=1)
    pick = np.indices((2, 2, 2)).reshape(3, 8).T
    corners_mm = geometry.index_to_mm(ends[:, pick, np.arange(3)].reshape(-1, 3)).reshape(-1, 8, 3)
    return np.stack([corners_mm.min(axis=1), corners_mm.max(axis=1)], axis=1)


def _stated_geometry(path: Path, document: Mapping[str, Any]) -> Geometry:
    names = {"itk_origin": 3, "itk_spacing": 3, "itk_direction": 9}
    origin, spacing, direction = (_numbers(path, name, document.get(name), n) for name, n in names.items())
    if not len(origin) == len(spacing) == len(direction) == 1:
        raise CtlymphError(f"{path} does not state the geometry of its image; export {', '.join(names)}, too")
    return Geometry((1, 1, 1), origin[0], spacing[0], direction.reshape(3, 3))


def _image_geometry(path: Path) -> Geometry:
    image = path.with_name(path.name[: -len(".json")] + ".nii.gz")
    if not image.is_file():
        raise CtlymphError(f"{path} needs {image.name} next to it, which holds the geometry; give both")
    return read_masks(image).geometry
