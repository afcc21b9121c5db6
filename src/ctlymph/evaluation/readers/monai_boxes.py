"""Boxes that MONAI's detectors found, from JSON.

Such files seldom say what their six numbers are; then they are refused. A list of results, one an image::

    {"box_mode": "cccwhd", "coordinates": "LPS mm", "validation": [
        {"image": "CASE.nii.gz", "box": [[x, y, z, width, height, depth], …], "label_scores": [0.9, …]}, …]}

``box_mode`` is ``cccwhd`` (centre, then extent) or ``xyzxyz`` (low corner, then high one); ``coordinates`` is
``LPS mm`` or ``RAS mm``. Both may stand in the document or in every result, but are the same throughout.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctlymph.core.errors import CtlymphError, shown
from ctlymph.evaluation.detections import Detections
from ctlymph.evaluation.readers.case_names import case_of, case_of_file
from ctlymph.io.images import image_suffix

MODES = ("cccwhd", "xyzxyz")
_FRAME = re.compile(r"(LPS|RAS) mm\b")
_CASE_KEYS, _BOX_KEYS = ("case", "seriesuid", "image"), ("box", "boxes")
_SCORE_KEYS = ("label_scores", "scores", "score")


def read_boxes(path: Path) -> list[Detections]:
    """Read the boxes of all images in a file, of every list in it that holds results.

    A detection is the centre of its box.

    Raises:
        CtlymphError: If it cannot be read, holds no results, does not state the mode and frame of its boxes or
            mixes them, or a result has no case, no scores, or numbers that are no boxes.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise CtlymphError(f"cannot read {path}: {shown(error)}; give results of a detector as JSON") from error
    about = document if isinstance(document, dict) else {}
    lists = list(about.values()) if about else [document]
    items = [item for value in lists if isinstance(value, list) for item in value if isinstance(item, dict)]
    items = [item for item in items if any(key in item for key in _BOX_KEYS)]
    if not items:
        raise CtlymphError(f"{path} holds no result with a 'box'; give a nodes.csv, or the boxes that MONAI found")
    frames = {_frame(f"{path}, result {number}", {**about, **item}) for number, item in enumerate(items)}
    if len(frames) > 1:
        mixed = " and ".join(sorted(" in ".join(frame) for frame in frames))
        raise CtlymphError(f"{path} mixes boxes that are {mixed}; write them in one way")
    return [_boxes(f"{path}, result {number}", item, *min(frames)) for number, item in enumerate(items)]


def _frame(where: str, stated: Mapping[str, Any]) -> tuple[str, str]:
    """Return the mode of the boxes and ``LPS`` or ``RAS``."""
    mode = str(stated.get("box_mode", "")).partition(":")[0].strip()
    if mode not in MODES:
        raise CtlymphError(f'{where}: what its six numbers are is not stated; add "box_mode": {" or ".join(MODES)}')
    frame = _FRAME.match(str(stated.get("coordinates", "")))
    if frame is None:
        raise CtlymphError(f'{where}: the frame of its boxes is not stated; add "coordinates": "LPS mm" or "RAS mm"')
    return mode, frame[1]


def _boxes(where: str, item: Mapping[str, Any], mode: str, frame: str) -> Detections:
    case = next(_of(item, _CASE_KEYS), None)
    if not isinstance(case, str) or not case:
        raise CtlymphError(f'{where} does not name its image; add "case" or "image"')
    boxes = _numbers(where, "box", next(_of(item, _BOX_KEYS)), (6,))
    if (scores := next(_of(item, _SCORE_KEYS), None)) is None:
        raise CtlymphError(f'{where} has no scores; add "label_scores", one a box')
    values = _numbers(where, "label_scores", scores, ())
    if len(values) != len(boxes):
        raise CtlymphError(f"{where} has {len(values)} scores for {len(boxes)} boxes; give one a box")
    first, second = boxes[:, :3], boxes[:, 3:]
    low, high = (first - second / 2, first + second / 2) if mode == "cccwhd" else (first, second)
    if (low > high).any():
        raise CtlymphError(f"{where} has a box that ends before it begins; is its box_mode truly {mode}?")
    if frame == "RAS":  # the sense of x and y changes, and so which end is the low one
        flip = np.array([-1, -1, 1])
        low, high = np.minimum(low * flip, high * flip), np.maximum(low * flip, high * flip)
    boxes_mm = np.stack([low, high], axis=1)
    return Detections.of_case(_case_of_image(case), boxes_mm.mean(axis=1), values, boxes_mm=boxes_mm)


def _case_of_image(name: str) -> str:
    """Return the case of ``CASE``, a SeriesInstanceUID, ``…/CASE.nii.gz`` or ``…/CASE/ct.nii.gz``."""
    path = Path(name.replace("\\", "/"))
    suffix = image_suffix(path)
    return case_of(case_of_file(path, suffix) if suffix else path.name)


def _of(item: Mapping[str, Any], keys: tuple[str, ...]) -> Iterator[Any]:
    return (item[key] for key in keys if key in item)


def _numbers(where: str, name: str, values: Any, shape: tuple[int, ...]) -> NDArray[np.float64]:
    try:
        array = np.array(values, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        array = np.array(np.nan)
    array = array.reshape(0, *shape) if array.shape == (0,) else array
    if array.ndim != 1 + len(shape) or array.shape[1:] != shape or not np.isfinite(array).all():
        expected = f"rows of {shape[0]} finite numbers" if shape else "finite numbers"
        raise CtlymphError(f"{where}: its {name} is not a list of {expected}; correct it")
    return array
