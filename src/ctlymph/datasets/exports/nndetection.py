"""The collection as a task of nnDetection: ``TaskNNN_NAME/raw_splitted`` with instance labels and their classes.

``splits_final.json`` holds the folds. nnDetection wants them pickled; a pickle can
run code when it is read, so none is written here (docs/exports.md says how to make it).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ctlymph.datasets.exports.export_job import ExportJob, place, provenance, split_by_use, write_json, write_splits
from ctlymph.datasets.exports.prepared import CLASSES, CT, INSTANCES, PreparedCase

NEEDS = (frozenset({"ct"}), frozenset({"masks", "seg"}))


def write_nndetection(job: ExportJob, cases: Sequence[PreparedCase]) -> Path:
    """Write the task and return its folder.

    Args:
        job: What to write.
        cases: Its cases, ready.

    Raises:
        CtlymphError: If other files stand in its place, or it cannot be written.
    """
    task = job.folder / f"Task{job.task:03d}_{job.name}"
    raw = task / "raw_splitted"
    training, tests = split_by_use(job, cases)
    for suffix, part in (("Tr", training), ("Ts", tests)):
        images = {f"{case.name}_0000.nii.gz": case.folder / CT for case in part}
        labels = {f"{case.name}.nii.gz": case.folder / INSTANCES for case in part}
        labels |= {f"{case.name}.json": case.folder / CLASSES for case in part}
        place(raw / f"images{suffix}", images, overwrite=job.overwrite)
        place(raw / f"labels{suffix}", labels, overwrite=job.overwrite)
    description = {
        "task": task.name,
        "dim": 3,
        "target_class": None,
        "test_labels": bool(tests),
        "labels": {"0": "lymph_node"},
        "modalities": {"0": "CT"},
        "annotation_style": "seg",
        **provenance(job),
    }
    write_json(task / "dataset.json", description, overwrite=job.overwrite)
    write_splits(task / "splits_final.json", job.folds, overwrite=job.overwrite)
    return task
