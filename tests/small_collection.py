"""A small collection on disk, laid out and written as the public one is: its quirks too, its patients not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ctlymph.core.nodes import Point
from ctlymph.core.volume import Geometry, Masks, Volume
from ctlymph.datasets.ct_lymph_nodes.catalogue import catalogue
from ctlymph.io.dicom.ct_writer import CTHeader, write_ct_series
from ctlymph.io.images import write_masks
from ctlymph.io.mitk import write_point_set

NAMES = ("MED_LYMPH_001", "MED_LYMPH_002", "MED_LYMPH_010", "ABD_LYMPH_001", "ABD_LYMPH_003")
"""Default cases. MED_LYMPH_002 and ABD_LYMPH_001 are one scan, MED_LYMPH_010 has no positive candidates."""

Layout = Literal["idc", "nbia"]
Part = Literal["ct", "annotations", "candidates", "masks"]
PARTS: tuple[Part, ...] = ("ct", "annotations", "candidates", "masks")


@dataclass(frozen=True)
class SmallNode:
    """A node that was drawn: its voxel, its centre (LPS mm) and the full axes of its ellipsoid (mm)."""

    index_ijk: tuple[int, int, int]
    point_mm: Point
    axes_mm: tuple[float, float, float]


@dataclass(frozen=True)
class SmallCase:
    """What a case holds; masks are labelled in the reverse order of the nodes, since labels do not mean rows."""

    name: str
    volume: Volume
    masks: Masks
    nodes: tuple[SmallNode, ...]
    negatives_mm: tuple[Point, ...]


def write_small_collection(
    folder: Path, names: Sequence[str] = NAMES, layout: Layout = "idc", parts: Sequence[Part] = PARTS
) -> dict[str, SmallCase]:
    """Write cases to ``folder`` and give what they hold, by name."""
    cases = {name: make_case(name) for name in names}
    for case in cases.values():
        if "ct" in parts:
            write_ct(case, ct_folder(folder, case.name, layout), layout)
        if "annotations" in parts:
            write_annotations(case, folder / "MED_ABD_LYMPH_ANNOTATIONS" / case.name)
        if "candidates" in parts:
            write_candidates(case, folder / "MED_ABD_LYMPH_CANDIDATES" / case.name)
        if "masks" in parts:
            path = folder / "MED_ABD_LYMPH_MASKS" / case.name / f"{case.name}_mask.nii.gz"
            path.parent.mkdir(parents=True)
            write_masks(case.masks, path)
    return cases


def make_case(name: str) -> SmallCase:
    """Make a CT of noise, 48 × 44 × 30 voxels, with ellipsoids for nodes; the two names of one scan share the CT."""
    entry = catalogue().entry(name)
    scan = min(name, entry.same_scan_as or name) if entry else name
    rng = np.random.default_rng([len(scan), *scan.encode()])
    geometry = Geometry((30, 44, 48), rng.uniform(-120, -80, 3).round(3), np.array([2.0, 2.0, 2.5]))
    hu = rng.normal(-90, 15, geometry.shape_zyx).astype(np.int16)
    labels = np.zeros(geometry.shape_zyx, dtype=np.uint16)
    # The first four places are the abdomen's. Nodes of the other region are in the CT, but not annotated.
    mine = slice(4, None) if name.startswith("MED") else slice(None, 4)
    places = [(i, j, k) for k in (8, 21) for j in (11, 31) for i in (12, 35)]
    axes_mm = rng.uniform(10, 18, (len(places), 3)).round(1)
    count = 1 + int(name[-3:]) % 4
    nodes = []
    for place, axes in zip(places, axes_mm, strict=True):
        hu[_ellipsoid(geometry, place, axes)] += 150
    for place, axes in list(zip(places, axes_mm, strict=True))[mine][:count]:
        labels[_ellipsoid(geometry, place, axes)] = count - len(nodes)
        x, y, z = (float(f"{mm:.6g}") for mm in geometry.index_to_mm(place))
        nodes.append(SmallNode(place, (x, y, z), (float(axes[0]), float(axes[1]), float(axes[2]))))
    negatives = tuple(
        (round(float(x), 4), float(y), float(z)) for x, y, z in geometry.index_to_mm([[2, 2, 2], [44, 40, 2]])
    )
    return SmallCase(name, Volume(hu, geometry, name), Masks(labels, geometry), tuple(nodes), negatives)


def ct_folder(folder: Path, name: str, layout: Layout) -> Path:
    """Give where the CT of a case lies."""
    study_uid, series_uid = ct_uids(name)
    if layout == "idc":
        return folder / "ct_lymph_nodes" / name / study_uid / f"CT_{series_uid}"
    what = ("mediastinal" if name.startswith("MED") else "abdominal") + "lymphnodes"
    study = f"09-14-2014-{name.replace('_', '')}-{what}-{study_uid[-5:]}"
    return folder / "manifest-1680277513580" / "CT Lymph Nodes" / name / study / f"{what}-{series_uid[-5:]}"


def ct_uids(name: str) -> tuple[str, str]:
    """Give StudyInstanceUID and SeriesInstanceUID: the real ones of a real name."""
    entry = catalogue().entry(name)
    if entry is None:
        number = int.from_bytes(name.encode()) % 10**20
        return f"61.7.1{number}", f"61.7.2{number}"
    series = next(series for series in entry.series if series.modality == "CT")
    return series.study_uid, series.series_uid


def write_ct(case: SmallCase, folder: Path, layout: Layout) -> None:
    """Write the CT, implicit VR; files are named by number (nbia), or so that the names do not tell the order (idc)."""
    entry = catalogue().entry(case.name)
    study_uid, series_uid = ct_uids(case.name)
    header = CTHeader(
        patient_id=case.name,
        patient_name=case.name,
        sex=entry.sex if entry else "",
        age=f"{entry.age_years:03d}Y" if entry and entry.age_years else "",
        study_date="20140914",
        series_description=f"{'mediastinal' if case.name.startswith('MED') else 'abdominal'}_lymph_nodes",
        study_uid=study_uid,
        series_uid=series_uid,
        frame_uid=f"{study_uid}.1",
    )
    write_ct_series(case.volume, folder, header, implicit_vr=True)
    if layout == "idc":
        files = sorted(folder.iterdir())
        for number, file in enumerate(files):
            file.rename(folder / f"{(number * 7919 + 13) % 65536:08x}-0000-4000-8000-{number:012x}.dcm")


def write_annotations(case: SmallCase, folder: Path) -> None:
    """Write indices, points and sizes: short axes, in the abdomen long ones too; one of MED_LYMPH_010 is 0."""
    folder.mkdir(parents=True)
    stem = f"{case.name}_lymphnodes"
    points = [node.point_mm for node in case.nodes]
    _write_table(folder / f"{stem}_indices.txt", [node.index_ijk for node in case.nodes])
    _write_table(folder / f"{stem}_physicalPoints.txt", points)
    write_point_set(folder / f"{stem}_physicalPoints.mps", points)
    columns = 1 if case.name.startswith("MED") else 2
    sizes = [sorted(node.axes_mm[:2])[:columns] for node in case.nodes]
    if case.name == "MED_LYMPH_010":
        sizes[0] = [0.0]
    _write_table(folder / f"{stem}_sizes.txt", sizes)


def write_candidates(case: SmallCase, folder: Path) -> None:
    """Write candidates: two on each node, two off all; MED_LYMPH_010 has files of no bytes, MED files have CRLF."""
    folder.mkdir(parents=True)
    base = 100 * int(case.name[-3:]) + (0 if case.name.startswith("MED") else 10000)
    found = [] if case.name == "MED_LYMPH_010" else case.nodes
    x_shifts = (0.0, 3.0)
    positives = [(node.point_mm[0] + mm, *node.point_mm[1:]) for node in found for mm in x_shifts]
    ids = [base + row for row in range(1, len(found) + 1) for _ in x_shifts]
    end = "\r\n" if case.name.startswith("MED") else "\n"
    for kind, points, numbers in (("pos", positives, ids), ("neg", case.negatives_mm, [-1] * len(case.negatives_mm))):
        stem = f"{case.name}_{kind}CADe"
        _write_table(folder / f"{stem}_physicalPoints.txt", points, end)
        _write_table(folder / f"{stem}_grtIDs.txt", [[number] for number in numbers])
        mps = folder / f"{stem}_physicalPoints.mps"
        if points:
            write_point_set(mps, points)
        else:
            mps.write_bytes(b"")


def _ellipsoid(geometry: Geometry, centre_ijk: Sequence[int], axes_mm: NDArray[np.float64]) -> NDArray[np.bool_]:
    k, j, i = np.indices(geometry.shape_zyx)
    off_mm = (np.stack([i, j, k], axis=-1) - np.array(centre_ijk)) * geometry.spacing_mm
    return np.asarray(((2 * off_mm / axes_mm) ** 2).sum(axis=-1) <= 1)


def _write_table(path: Path, rows: Sequence[Sequence[float]], end: str = "\n") -> None:
    path.write_bytes("".join(" ".join(f"{value:g}" for value in row) + end for row in rows).encode())
