"""What was found in one CT, and the one place that writes all its files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from uuid import uuid4

from ctlymph.nodes import LymphNode
from ctlymph.volume import Masks, Volume


@dataclass(frozen=True, eq=False)
class Result:
    """The nodes of one CT, and how they came about.

    Attributes:
        volume: The CT as it was read.
        masks: Instance masks on the CT's own grid; labels are the nodes' numbers.
        nodes: The nodes, surest first or in the order of their labels.
        regions: Regions that were searched, or none.
        model: Name of the detector, or ``""`` for masks that someone drew.
        trained_on: One sentence on the model's training data, shown wherever its output is.
        thresholds: By region, the score from which on marks count as nodes.
        notes: What a user should know: of reading, detecting, measuring; one sentence each.
        seconds: Time of each step, in order.
        overlapping: Masks of the nodes that overlap with others, on the same grid.
        created: When it was made.
        seed: The UIDs of its DICOM objects follow from it.
    """

    volume: Volume
    masks: Masks
    nodes: Sequence[LymphNode]
    regions: Sequence[str] = ()
    model: str = ""
    trained_on: str = ""
    thresholds: Mapping[str, float] = field(default_factory=dict)
    notes: Sequence[str] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)
    overlapping: tuple[Masks, ...] = ()
    created: datetime = field(default_factory=datetime.now)
    seed: str = field(default_factory=lambda: uuid4().hex)

    @property
    def layers(self) -> tuple[Masks, ...]:
        """All masks; each node lies in one of them."""
        return (self.masks, *self.overlapping)

    @property
    def case(self) -> str:
        """What the CT's owner calls it."""
        return self.volume.case


def write_results(folder: Path, result: Result, formats: Iterable[str] | None = None) -> dict[str, str]:
    """Write the files of one result into an existing folder.

    Args:
        folder: Best a staging folder of :func:`ctlymph.io.atomic.new_folder`, so that all files appear at once.
        result: What to write.
        formats: Names from :data:`FORMATS`; by default all, but DICOM objects only where the CT is DICOM. Where they
            are named, a CT that is none is written as DICOM first, for them to refer to.

    Returns:
        By name, why a format could not be written; most often nothing.

    Raises:
        KeyError: If a format is not in :data:`FORMATS`.
    """
    from ctlymph.io.dicom_objects import is_dicom, obstacle, with_dicom_ct

    dicom = is_dicom(result)
    names = [name for name in FORMATS if dicom or name not in OBJECTS] if formats is None else list(formats)
    names += ["seg"] * ("sr" in names and "seg" not in names)  # which it refers to
    referring = result
    if not dicom and result.nodes and OBJECTS & set(names):
        referring = with_dicom_ct(folder, result)
    left_out = {}
    for name in names:
        file_name, write = FORMATS[name]
        why = obstacle(referring, name) if name in OBJECTS else ""
        if name == "masks" and result.overlapping:
            why = "nodes overlap, and a voxel holds one label"
        if why:
            left_out[name] = f"{file_name} is not written: {why}"
        else:
            write(folder / file_name, referring if name in OBJECTS else result)
    return left_out


def _write_csv(path: Path, result: Result) -> None:
    from ctlymph.io.tables import write_nodes_csv

    write_nodes_csv(path, result.case, result.nodes)


def _write_json(path: Path, result: Result) -> None:
    from ctlymph.io.tables import write_nodes_json

    write_nodes_json(path, result)


def _write_slicer(path: Path, result: Result) -> None:
    from ctlymph.io.slicer import write_markups

    write_markups(path, result.nodes)


def _write_mitk(path: Path, result: Result) -> None:
    from ctlymph.io.pointset import write_point_set

    write_point_set(path, [node.point_mm for node in result.nodes])


def _write_masks(path: Path, result: Result) -> None:
    from ctlymph.io.images import write_masks

    write_masks(result.masks, path)


def _write_report(path: Path, result: Result) -> None:
    from ctlymph.io.report import write_report

    write_report(path, result)


def _write_object(name: str, path: Path, result: Result) -> None:
    from ctlymph.io.dicom_objects import write_object

    write_object(path, result, name)


FORMATS: dict[str, tuple[str, Callable[[Path, Result], None]]] = {
    "csv": ("nodes.csv", _write_csv),
    "json": ("nodes.json", _write_json),
    "slicer": ("nodes.mrk.json", _write_slicer),
    "mitk": ("nodes.mps", _write_mitk),
    "masks": ("masks.nii.gz", _write_masks),
    "report": ("report.html", _write_report),
    "seg": ("seg.dcm", partial(_write_object, "seg")),
    "sr": ("sr.dcm", partial(_write_object, "sr")),
    "sr_ohif": ("sr_ohif.dcm", partial(_write_object, "sr_ohif")),
}
"""Name of each output, the file it becomes, and what writes it."""

OBJECTS = frozenset(("seg", "sr", "sr_ohif"))
"""Those that are DICOM objects, and refer to the CT as DICOM."""
