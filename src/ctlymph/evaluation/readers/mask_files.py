"""Masks of nodes in folders as programs leave them: where the files are, what their labels mean, what they mark.

- ``CASE.nii.gz``, ``CASE_mask.nii.gz`` or ``CASE/masks.nii.gz``: one label map a case;
- nnU-Net: ``CASE.nii.gz`` next to ``dataset.json``, whose labels are classes, not single nodes;
- TotalSegmentator: ``CASE/STRUCTURE.nii.gz``, one binary mask a structure, or one label map a case (its option ml) with
  the names of its labels in the header.

Nothing needs the CT: places come from the mask's own geometry, on whatever grid it is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from ctlymph.core.errors import CtlymphError, shown
from ctlymph.core.progress import SILENT, Progress
from ctlymph.core.volume import Masks
from ctlymph.evaluation.readers.case_names import case_of, case_of_file
from ctlymph.io.images import image_suffix, read_masks
from ctlymph.measurement.masks import split

T = TypeVar("T")

Labels = Literal["auto", "instances", "classes"]
"""What labels of a mask are: ``instances`` (one label a node), ``classes`` (every connected component of a label is a
node), or ``auto``: what the files say."""

_BINARY = ({1}, {255})
_NODE_NAME = re.compile(r"lymph|(^|[^a-z])ln([^a-z]|$)", re.IGNORECASE)
_LABEL_TABLE = re.compile(rb'<Label Key="(\d+)"[^>]*>\s*(?:<!\[CDATA\[)?([^\]<]*)')


@dataclass(frozen=True)
class MaskFolder:
    """The mask files of a detector or annotator.

    Attributes:
        files: Those of each case: one label map, or binary masks.
        labels: What the labels are.
        values: Labels to read; empty: all but 0.
    """

    files: Mapping[str, tuple[Path, ...]]
    labels: Labels
    values: tuple[int, ...] = ()


def image_files(folder: Path) -> list[Path]:
    """Return the images in a folder itself, as far as they are not hidden."""
    paths = (path for path in folder.iterdir() if not path.name.startswith("."))
    return sorted(path for path in paths if path.is_file() and image_suffix(path) and path.suffix.lower() != ".img")


def label_maps(folder: Path, *, nested: bool = False) -> dict[str, Path]:
    """Return the label maps in a folder by case; where some are named ``…_mask``, images of other names are none.

    Args:
        folder: Holds ``CASE.nii.gz``, ``CASE_mask.nii.gz`` or ``CASE/masks.nii.gz``.
        nested: Whether to look for ``CASE/CASE_mask.nii.gz`` as well, as in the public collection.

    Raises:
        CtlymphError: If two files are of one case.
    """
    below = (path for path in folder.glob("*/masks.*") if path.is_file() and image_suffix(path))
    images = [*image_files(folder), *below]
    if nested:
        inside = (path for path in folder.glob("*/*_mask.*") if image_suffix(path))
        images += [path for path in inside if _stem(path) == f"{path.parent.name}_mask"]
    named = [path for path in images if _stem(path).endswith("_mask")]
    found: dict[str, Path] = {}
    for path in sorted(named or images):
        case = case_of_mask(path)
        if case in found:
            raise CtlymphError(f"{found[case]} and {path} are both masks of {case}; leave only one of them there")
        found[case] = path
    return found


def case_of_mask(path: Path) -> str:
    """Return the case of ``CASE.nii.gz``, ``CASE_mask.nii.gz``, ``CASE/masks.nii.gz`` and the like."""
    suffix = path.name[-len(image_suffix(path) or "") :]
    return case_of(case_of_file(path, f"_mask{suffix}" if _stem(path).endswith("_mask") else suffix))


def find_label_maps(path: Path, labels: Labels, structure: str, *, nested: bool = False) -> MaskFolder | None:
    """Find one label map a case; None where there is none.

    Args:
        path: A folder, or one label map.
        labels: What the labels are.
        structure: The class to read, by its name or label; empty: all of nnU-Net's, or those of TotalSegmentator's
            that are named after lymph nodes.
        nested: Whether to look for ``CASE/CASE_mask.nii.gz`` as well.

    Raises:
        CtlymphError: If there is no such class, or TotalSegmentator names none after lymph nodes.
    """
    folder = path if path.is_dir() else path.parent
    maps = label_maps(path, nested=nested) if path.is_dir() else {case_of_mask(path): path}
    if not maps:
        return None
    files = {case: (file,) for case, file in maps.items()}
    first = next(iter(maps.values()))
    nnunet, named = _nnunet_labels(folder), _total_segmentator_labels(first)
    names = nnunet or named
    if structure:
        values: tuple[int, ...] = (_chosen(folder, names, structure),)
    elif nnunet is None and named:
        values = _node_labels(first, named)
    else:
        values = tuple(names.values())
    are_classes = nnunet is not None or bool(values)
    return MaskFolder(files, "classes" if labels == "auto" and are_classes else labels, values)


def find_structures(folder: Path, structure: str) -> MaskFolder | None:
    """Find ``CASE/STRUCTURE.nii.gz``, as TotalSegmentator writes them; None where there is none.

    Args:
        folder: Where the folders of the cases lie.
        structure: Which to read; empty: the only one, or those that are named after lymph nodes.

    Raises:
        CtlymphError: If there is no such structure, or a case has none of them.
    """
    cases = {each: image_files(each) for each in sorted(folder.iterdir()) if each.is_dir()}
    cases = {each: files for each, files in cases.items() if files}
    stems = sorted({_stem(file) for files in cases.values() for file in files})
    if not stems:
        return None
    chosen = [structure] if structure else stems if len(stems) == 1 else list(filter(_NODE_NAME.search, stems))
    if not chosen or not set(chosen) <= set(stems):
        raise CtlymphError(f"{folder} {_no_structure(stems, structure)}")
    if absent := [each for each, files in cases.items() if not set(chosen) & {_stem(file) for file in files}]:
        raise CtlymphError(f"{absent[0]} has no mask of {' or '.join(chosen)}; add it, empty where nothing was found")
    files = {case_of(each.name): tuple(f for f in all_ if _stem(f) in chosen) for each, all_ in cases.items()}
    return MaskFolder(files, "classes")


def read_nodes(
    folder: MaskFolder, measure: Callable[[Masks], T], progress: Progress = SILENT
) -> tuple[dict[str, T], bool]:
    """Read the nodes in the masks of all cases, one case at a time.

    Where nothing says what labels are, they are classes if 1 (or 255) is the only one in all cases, as in a binary
    mask; otherwise they are instances.

    Args:
        folder: The masks.
        measure: What to return of an instance mask, one label a node.
        progress: Shown meanwhile.

    Returns:
        What ``measure`` returned, by case; and whether every connected component was taken as a node.

    Raises:
        CtlymphError: If a mask cannot be read.
    """
    whole, components, used = {}, {}, set[int]()
    with progress.task("Reading masks", len(folder.files)) as advance:
        for case, files in folder.files.items():
            masks = _selected(files, folder.values)
            used |= set(labels_in(masks))
            if folder.labels != "classes":
                whole[case] = measure(masks)
            if folder.labels == "classes" or (folder.labels == "auto" and any(used <= each for each in _BINARY)):
                components[case] = measure(split(masks))
            advance(1)
    is_split = folder.labels == "classes" or (folder.labels == "auto" and used in _BINARY)
    return components if is_split else whole, is_split


def labels_in(masks: Masks) -> list[int]:
    """Return the labels in use."""
    return (np.flatnonzero(np.bincount(masks.labels.ravel())[1:]) + 1).tolist()


def box_of_label(masks: Masks, box: Sequence[slice]) -> NDArray[np.float64]:
    """Return the box about voxels, in mm.

    Args:
        masks: Where the voxels lie.
        box: Slices of the array, z, y, x.

    Returns:
        Shape 2, 3: low and high corner, to the outer faces of the voxels, LPS mm.
    """
    z, y, x = box
    low, high = np.array([[part.start, part.stop] for part in (x, y, z)]).T - 0.5
    corners_mm = masks.geometry.index_to_mm(np.where(np.indices((2, 2, 2)).reshape(3, 8).T, high, low))
    return np.stack([corners_mm.min(axis=0), corners_mm.max(axis=0)])


def centroids_and_boxes(masks: Masks) -> Iterator[tuple[int, NDArray[np.float64], NDArray[np.float64]]]:
    """Yield the label, the centroid (LPS mm) and the box of every node of an instance mask."""
    from scipy.ndimage import find_objects

    for label, box in enumerate(find_objects(masks.labels), start=1):
        if box is not None:
            start = np.array([part.start for part in box])
            middle_zyx = start + np.argwhere(masks.labels[box] == label).mean(axis=0)
            yield label, masks.geometry.index_to_mm(middle_zyx[::-1]), box_of_label(masks, box)


def _stem(path: Path) -> str:
    return path.name[: -len(image_suffix(path) or "")]


def _selected(files: Sequence[Path], values: Collection[int]) -> Masks:
    """Read a label map, or several binary masks of one grid as one map with a label each."""
    masks = [read_masks(path) for path in files]
    if len(masks) == 1:
        if not values:
            return masks[0]
        return Masks(np.where(np.isin(masks[0].labels, list(values)), masks[0].labels, 0), masks[0].geometry)
    labels = np.zeros_like(masks[0].labels)
    for number, (path, each) in enumerate(zip(files, masks, strict=True), start=1):
        if not each.geometry.matches(masks[0].geometry):
            raise CtlymphError(f"{path} and {files[0]} lie on different grids; resample one of them")
        labels[(each.labels > 0) & (labels == 0)] = number
    return Masks(labels, masks[0].geometry)


def _nnunet_labels(folder: Path) -> dict[str, int] | None:
    """Return the foreground labels of nnU-Net's ``dataset.json`` by name; None where it is not there."""
    path = folder / "dataset.json"
    if folder.name.startswith("labels"):  # labelsTr and labelsTs lie below it
        path = folder.parent / "dataset.json"
    if not path.is_file():
        return {} if (folder / "plans.json").is_file() else None
    try:
        labels = json.loads(path.read_text(encoding="utf-8-sig"))["labels"]
        if all(str(key).isdecimal() for key in labels):  # nnU-Net 1 wrote {"0": "background", …}
            labels = {name: int(value) for value, name in labels.items()}
        values = {name: value for name, value in labels.items() if isinstance(value, int) and value > 0}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CtlymphError(f"cannot read the labels in {path}: {shown(error)}; give nnU-Net's own file") from error
    return {name: value for name, value in values.items() if name not in ("background", "ignore")}


def _total_segmentator_labels(path: Path) -> dict[str, int]:
    """Return the labels that TotalSegmentator names in the header of a NIfTI file; empty where there are none."""
    if not (image_suffix(path) or "").startswith(".nii"):
        return {}
    import nibabel as nib

    try:
        extensions = nib.load(path).header.extensions  # type: ignore[attr-defined]
    except (nib.filebasedimages.ImageFileError, OSError, EOFError, ValueError):
        return {}  # reading the voxels says what is wrong with the file
    text = b"".join(each.get_content() for each in extensions if isinstance(each.get_content(), bytes))
    return {name.decode("utf-8", "replace"): int(key) for key, name in _LABEL_TABLE.findall(text)}


def _chosen(where: Path, names: Mapping[str, int], structure: str) -> int:
    if structure in names:
        return names[structure]
    if structure.isdecimal() and int(structure) > 0:
        return int(structure)
    raise CtlymphError(f"{where} {_no_structure(names, structure)}")


def _node_labels(path: Path, names: Mapping[str, int]) -> tuple[int, ...]:
    chosen = tuple(value for name, value in names.items() if _NODE_NAME.search(name))
    if not chosen:
        raise CtlymphError(f"{path} {_no_structure(names, '')}")
    return chosen


def _no_structure(names: Collection[str], structure: str) -> str:
    known = ", ".join(map(shown, sorted(names)[:5])) + (", …" if len(names) > 5 else "")
    held = f"holds {known}" if names else "names no structures"
    if structure:
        return f"{held}, but not {shown(structure)}; choose another structure, or give its label, a number"
    return f"{held}, of which none is named after lymph nodes; say which structure to read"
