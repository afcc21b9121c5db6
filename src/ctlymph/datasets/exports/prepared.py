"""Cases made ready for all exports: CT and labels as NIfTI, converted once, whatever forms are written of them.

Each case is a folder ``cases/NAME`` of the export: ``ct.nii.gz`` (HU),
``instances.nii.gz`` (0 background, 1…n one node each), ``nodes.nii.gz``
(0 background, 1 any node), ``classes.json`` (of each instance, as nnDetection wants it) and
``case.json`` (what it was made from). It appears whole or not at all.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ctlymph.core.errors import CtlymphError, Remedy, shown
from ctlymph.core.progress import SILENT, Progress
from ctlymph.datasets.archive_file import LARGEST_MASK
from ctlymph.datasets.case import Case
from ctlymph.io.atomic import new_folder
from ctlymph.io.dicom.files import files_below

if TYPE_CHECKING:
    from ctlymph.core.volume import Geometry, Masks

Box = tuple[float, float, float, float, float, float]
T = TypeVar("T")
Runner = Callable[[Callable[..., T], Sequence[tuple[Any, ...]]], Iterator[T]]
"""Calls a function with each of several tuples of arguments, perhaps in several processes; yields as results come."""

CT, INSTANCES, NODES, CLASSES = "ct.nii.gz", "instances.nii.gz", "nodes.nii.gz", "classes.json"
RECORD = "case.json"


@dataclass(frozen=True)
class Instance:
    """One node of an instance mask.

    Attributes:
        label: Its value in ``instances.nii.gz``, from 1 without gaps.
        mask_label: Its value in the mask of the collection.
        voxels: Number of its voxels.
        low_ijk: Smallest index of a voxel, 0-based, along x, y, z of the array.
        high_ijk: Largest index.
        box_mm: Centre x, y, z and extent along x, y, z of the smallest box around its voxels, LPS mm.
    """

    label: int
    mask_label: int
    voxels: int
    low_ijk: tuple[int, int, int]
    high_ijk: tuple[int, int, int]
    box_mm: Box


@dataclass(frozen=True)
class PreparedCase:
    """A case that is ready for export.

    Attributes:
        name: Name of the case.
        folder: Where its files lie.
        instances: The nodes of its mask, in order of their labels.
    """

    name: str
    folder: Path
    instances: tuple[Instance, ...]


def one_by_one(function: Callable[..., T], work: Sequence[tuple[Any, ...]]) -> Iterator[T]:
    """Call ``function`` with the arguments in each item of ``work``, in this process: the simplest runner."""
    for arguments in work:
        yield function(*arguments)


@dataclass(frozen=True)
class Preparation:
    """How cases are made ready.

    Attributes:
        folder: The folder of the export.
        overwrite: Replace cases that were made from other files.
        run: Who does the work.
        progress: Shown by cases.
    """

    folder: Path
    overwrite: bool = False
    run: Runner[PreparedCase] = one_by_one
    progress: Progress = SILENT

    def prepare_all(self, cases: Sequence[Case]) -> list[PreparedCase]:
        """Convert those cases that are not ready yet, and return all in their order.

        Raises:
            CtlymphError: If data are absent or damaged, a mask is not of its CT, a case was made from other
                files and ``overwrite`` is not set, or the disk cannot be written.
        """
        done = {}
        with self.progress.task("preparing cases", len(cases)) as advance:
            work = [(case, self.folder / "cases" / case.name, self.overwrite) for case in cases]
            for prepared in self.run(prepare, work):
                done[prepared.name] = prepared
                advance(1)
        return [done[case.name] for case in cases]


def prepare(case: Case, folder: Path, overwrite: bool = False) -> PreparedCase:
    """Write the CT of a case and its labels, on the CT's grid, to ``folder``, unless they are there already.

    Raises:
        CtlymphError: As :meth:`Preparation.prepare_all`.
    """
    from ctlymph.core.volume import Masks
    from ctlymph.io.images import write_image, write_masks

    sources = _sources(case)
    record = _read_record(folder)
    if record and record.sources == sources and record.is_whole(folder):
        return PreparedCase(case.name, folder, record.instances)
    if record and record.sources != sources and not overwrite:
        raise CtlymphError(f"{folder} was made from other files", Remedy.OVERWRITE)
    ct = case.ct()
    masks = case.masks(ct)
    labels, instances = _consecutive(masks)
    with new_folder(folder, overwrite=overwrite or record is not None) as staging:
        write_image(ct, staging / CT)
        write_masks(Masks(labels, ct.geometry), staging / INSTANCES)
        write_masks(Masks((labels > 0).astype(np.uint16), ct.geometry), staging / NODES)
        _write_json(staging / CLASSES, {"instances": {str(instance.label): 0 for instance in instances}})
        sizes = {file: (staging / file).stat().st_size for file in (CT, INSTANCES, NODES, CLASSES)}
        _write_json(staging / RECORD, {"case": case.name, **asdict(_Record(sources, sizes, instances))})
    return PreparedCase(case.name, folder, instances)


def _sources(case: Case) -> dict[str, Any]:
    """Describe the state of a case's files without reading the CT: UIDs, numbers of files, bytes."""
    sources: dict[str, Any] = {}
    for series in case.files.series:
        files = [series.path] if series.path.is_file() else series.files  # an archive, or files in a folder
        sources[series.series_uid] = [len(series.files), sum(file.stat().st_size for file in files)]
    for kind, own in (("ct", case.files.ct), ("labels", case.files.labels)):
        if own is not None:
            files = list(files_below(own)) if own.is_dir() else [own]
            sources[kind] = [[file.name, file.stat().st_size, file.stat().st_mtime_ns] for file in files]
    if case.files.mask:
        sources["mask"] = hashlib.sha256(case.files.mask.read(LARGEST_MASK)).hexdigest()
    return sources


@dataclass(frozen=True)
class _Record:
    """What a case was made from, the sizes of the files that were made, and its nodes."""

    sources: dict[str, Any]
    bytes: dict[str, int]
    instances: tuple[Instance, ...]

    def is_whole(self, folder: Path) -> bool:
        """Return whether the files are there, in their sizes."""
        paths = {folder / file: size for file, size in self.bytes.items()}
        return all(path.is_file() and path.stat().st_size == size for path, size in paths.items())


def _read_record(folder: Path) -> _Record | None:
    """Return the record of an earlier export; None if there is none."""
    path = folder / RECORD
    if not path.is_file():
        return None
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        instances = tuple(map(_instance, record["instances"]))
        return _Record(dict(record["sources"]), {file: int(size) for file, size in record["bytes"].items()}, instances)
    except (OSError, LookupError, TypeError, AttributeError, ValueError, RecursionError) as error:
        raise CtlymphError(f"cannot read {path}: {shown(error)}; remove its folder") from error


def _write_json(path: Path, document: dict[str, Any]) -> None:
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def _instance(record: dict[str, Any]) -> Instance:
    plain: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in record.items()}
    return Instance(**plain)


def _consecutive(masks: Masks) -> tuple[NDArray[np.uint16], tuple[Instance, ...]]:
    """Number the nodes of a mask 1…n, in the order of their labels, since trainers take no gaps."""
    from scipy.ndimage import find_objects

    found = np.bincount(masks.labels.ravel())
    mask_labels = np.flatnonzero(found[1:]) + 1
    numbers = np.zeros(len(found), dtype=np.uint16)
    numbers[mask_labels] = np.arange(1, len(mask_labels) + 1)
    boxes = find_objects(masks.labels)
    instances = []
    for label, mask_label in enumerate(mask_labels.tolist(), start=1):
        z, y, x = boxes[mask_label - 1]
        low, high = (x.start, y.start, z.start), (x.stop - 1, y.stop - 1, z.stop - 1)
        box_mm = _box_mm(masks.geometry, low, high)
        instances.append(Instance(label, mask_label, int(found[mask_label]), low, high, box_mm))
    return numbers[masks.labels], tuple(instances)


def _box_mm(geometry: Geometry, low: tuple[int, ...], high: tuple[int, ...]) -> Box:
    """Return the centre and extent, in LPS mm, of the box around whole voxels, not their centres."""
    edges = np.array([low, high]) + np.array([[-0.5], [0.5]])
    corners_mm = geometry.index_to_mm(np.stack(np.meshgrid(*edges.T), axis=-1).reshape(-1, 3))
    low_mm, high_mm = corners_mm.min(axis=0), corners_mm.max(axis=0)
    x, y, z = ((low_mm + high_mm) / 2).tolist()
    width, height, depth = (high_mm - low_mm).tolist()
    return x, y, z, width, height, depth
