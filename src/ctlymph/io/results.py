"""What was found in one CT, and the one place that writes all its files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

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

    @property
    def case(self) -> str:
        """What the CT's owner calls it."""
        return self.volume.case


def write_results(folder: Path, result: Result, formats: Iterable[str] | None = None) -> list[Path]:
    """Write the files of one result into an existing folder, and give their paths.

    Args:
        folder: Best a staging folder of :func:`ctlymph.io.atomic.new_folder`, so that all files appear at once.
        result: What to write.
        formats: Names from :data:`FORMATS`; all by default.

    Raises:
        KeyError: If a format is not in :data:`FORMATS`.
    """
    paths = []
    for name in FORMATS if formats is None else formats:
        file_name, write = FORMATS[name]
        paths.append(folder / file_name)
        write(folder / file_name, result)
    return paths


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


FORMATS: dict[str, tuple[str, Callable[[Path, Result], None]]] = {
    "csv": ("nodes.csv", _write_csv),
    "json": ("nodes.json", _write_json),
    "slicer": ("nodes.mrk.json", _write_slicer),
    "mitk": ("nodes.mps", _write_mitk),
    "masks": ("masks.nii.gz", _write_masks),
    "report": ("report.html", _write_report),
}
"""Name of each output, the file it becomes, and what writes it."""
