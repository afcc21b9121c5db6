"""A dataset of one's own: small CTs and labels as NIfTI, called PAT001 and so on, with a cases.csv."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ctlymph.core.volume import Masks
from ctlymph.io.images import write_image, write_masks
from small_collection import SmallCase, make_case

PUBLIC = {"PAT001": "MED_LYMPH_001", "PAT002": "MED_LYMPH_002", "PAT003": "ABD_LYMPH_003", "PAT004": "MED_LYMPH_006"}
"""Whose CT and nodes each case has."""
HEADER = "case,patient,region,split,ct,labels"
REGION_OF = {"MED": "mediastinum", "ABD": "abdomen"}


def write_own_data(folder: Path, *, rows: Sequence[str] = (), binary: bool = False) -> dict[str, SmallCase]:
    """Write ``images/PAT001.nii.gz``, ``labels/PAT001.nii.gz`` and so on, and a cases.csv; return what they hold.

    Args:
        folder: Made if absent.
        rows: Lines of cases.csv after the header; default one a case.
        binary: Label all nodes 1.
    """
    cases = {name: make_case(public) for name, public in PUBLIC.items()}
    for part in ("images", "labels"):
        (folder / part).mkdir(parents=True)
    for name, case in cases.items():
        labels = (case.masks.labels > 0).astype("uint16") if binary else case.masks.labels
        write_image(case.volume, folder / "images" / f"{name}.nii.gz")
        write_masks(Masks(labels, case.masks.geometry), folder / "labels" / f"{name}.nii.gz")
    write_cases(folder, rows or [row(name) for name in cases])
    return cases


def row(name: str, *, patient: str = "", region: str = "", split: str = "") -> str:
    """Return the line of a case."""
    region = region or REGION_OF[PUBLIC[name][:3]]
    return f"{name},{patient},{region},{split},images/{name}.nii.gz,labels/{name}.nii.gz"


def write_cases(folder: Path, rows: Sequence[str], header: str = HEADER) -> None:
    """Write cases.csv."""
    (folder / "cases.csv").write_text("\n".join([header, *rows, ""]), encoding="utf-8")
