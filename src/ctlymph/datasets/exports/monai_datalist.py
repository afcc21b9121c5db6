"""The collection as MONAI reads it: lists of data, of the form of the Medical Segmentation Decathlon, over the cases.

Three lists: ``datalist.json`` to segment, ``datalist_boxes.json`` to detect (boxes around the masks), and
``datalist_points.json`` with the annotated points. Paths are relative to the list, as
``monai.data.load_decathlon_datalist`` takes them. ``fold`` is the number of the fold, as Auto3DSeg takes it.

Places are RAS mm, which is how MONAI reads a NIfTI's affine: in its detection transforms set
``gt_box_mode="cccwhd"`` and ``affine_lps_to_ras=False``. Everywhere else in this package they are LPS.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ctlymph.core.nodes import Point
from ctlymph.datasets.exports.export_job import ExportJob, provenance, write_json
from ctlymph.datasets.exports.prepared import CT, NODES, PreparedCase

NEEDS = (frozenset({"ct"}), frozenset({"masks", "seg"}))
LIST, BOXES, POINTS = "datalist.json", "datalist_boxes.json", "datalist_points.json"


def write_monai(job: ExportJob, cases: Sequence[PreparedCase]) -> Path:
    """Write the lists and return the folder that they are in.

    Args:
        job: What to write. Cases without annotations are not in the list of points.
        cases: Its cases, ready.

    Raises:
        CtlymphError: If other files stand in their place, or they cannot be written.
    """
    description = {"modality": {"0": "CT"}, "tensorImageSize": "3D", **provenance(job)}
    segmentation = [_item(job, case) | {"label": (_relative(job, case) / NODES).as_posix()} for case in cases]
    boxes = [_item(job, case) | _boxes(case) for case in cases]
    annotated = [case.name for case in job.cases if "annotations" in case.has]
    points = [_item(job, case) | _points(job, case.name) for case in cases if case.name in annotated]
    _write(job, LIST, {**description, "labels": {"0": "background", "1": "lymph_node"}}, segmentation)
    places = {"coordinates": "RAS mm: affine_lps_to_ras=False", "labels": {"0": "lymph_node"}}
    box_mode = {"box_mode": "cccwhd: centre x, y, z, then extent along x, y, z"}
    _write(job, BOXES, {**description, **places, **box_mode}, boxes)
    _write(job, POINTS, {**description, **places}, points)
    return job.folder


def _write(job: ExportJob, name: str, description: dict[str, Any], items: list[dict[str, Any]]) -> None:
    tests = [item for item in items if item["case"] in job.tests]
    training = [item for item in items if item["case"] not in job.tests]
    document = {**description, "numTraining": len(training), "numTest": len(tests), "training": training, "test": tests}
    write_json(job.folder / name, document, overwrite=job.overwrite)


def _item(job: ExportJob, case: PreparedCase) -> dict[str, Any]:
    fold = {"fold": job.folds.fold_of(case.name)} if job.folds and case.name not in job.tests else {}
    return {"case": case.name, "image": (_relative(job, case) / CT).as_posix(), **fold}


def _relative(job: ExportJob, case: PreparedCase) -> Path:
    return case.folder.relative_to(job.folder)


def _boxes(case: PreparedCase) -> dict[str, Any]:
    boxes = [[-x, -y, z, *extent] for x, y, z, *extent in (instance.box_mm for instance in case.instances)]
    return {"box": boxes, "label": [0] * len(boxes)}


def _points(job: ExportJob, name: str) -> dict[str, Any]:
    nodes = next(case for case in job.cases if case.name == name).nodes()
    return {
        "point": [_ras(node.point_mm) for node in nodes],
        "label": [0] * len(nodes),
        "short_axis_mm": [node.short_axis_mm for node in nodes],
        "long_axis_mm": [node.long_axis_mm for node in nodes],
    }


def _ras(point_mm: Point) -> list[float]:
    x, y, z = point_mm
    return [-x, -y, z]
