"""The collection as a raw dataset of nnU-Net v2: ``DatasetNNN_NAME`` with ``imagesTr``, ``labelsTr``, ``dataset.json``.

Labels are 0 background and 1 lymph node: nnU-Net segments, it does not separate nodes. Cases of the test split are in
``imagesTs`` and ``labelsTs``.
``splits_final.json`` holds the folds; nnU-Net looks for it beside its preprocessed data.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ctlymph.datasets.exports.export_job import ExportJob, place, provenance, split_by_use, write_json, write_splits
from ctlymph.datasets.exports.prepared import CT, NODES, PreparedCase

NEEDS = (frozenset({"ct"}), frozenset({"masks", "seg"}))


def write_nnunet(job: ExportJob, cases: Sequence[PreparedCase]) -> Path:
    """Write the dataset and return its folder.

    Args:
        job: What to write.
        cases: Its cases, ready.

    Raises:
        CtlymphError: If other files stand in its place, or it cannot be written.
    """
    dataset = job.folder / f"Dataset{job.task:03d}_{job.name}"
    training, tests = split_by_use(job, cases)
    for suffix, part in (("Tr", training), ("Ts", tests)):
        images = {f"{case.name}_0000.nii.gz": case.folder / CT for case in part}
        labels = {f"{case.name}.nii.gz": case.folder / NODES for case in part}
        place(dataset / f"images{suffix}", images, overwrite=job.overwrite)
        place(dataset / f"labels{suffix}", labels, overwrite=job.overwrite)
    description = {
        "channel_names": {"0": "CT"},
        "labels": {"background": 0, "lymph_node": 1},
        "numTraining": len(training),
        "file_ending": ".nii.gz",
        **provenance(job),
    }
    write_json(dataset / "dataset.json", description, overwrite=job.overwrite)
    write_splits(dataset / "splits_final.json", job.folds, overwrite=job.overwrite)
    return dataset
