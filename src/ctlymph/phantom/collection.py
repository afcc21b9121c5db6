"""Synthetic cases on disk: a DICOM series, its masks and the truth as a table."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from ctlymph.errors import CtlymphError
from ctlymph.io.atomic import new_folder
from ctlymph.io.dicom_ct import CTHeader, write_ct_series
from ctlymph.io.images import write_masks
from ctlymph.io.tables import NodeRow, write_rows
from ctlymph.phantom.patient import Phantom, PhantomSpec, make_patient
from ctlymph.progress import SILENT, Progress

RECIPE = "phantom.json"


@dataclass(frozen=True)
class PhantomCase:
    """A case to be made.

    Attributes:
        folder: Where it goes; its name is the case's.
        spec: What to make.
    """

    folder: Path
    spec: PhantomSpec

    def is_complete(self) -> bool:
        """Tell whether the folder holds this very case already.

        Raises:
            CtlymphError: If it holds a case made from another recipe.
        """
        recipe = self.folder / RECIPE
        if not recipe.is_file():
            return False
        try:
            former = json.loads(recipe.read_text(encoding="utf-8"))
        except ValueError as error:
            raise CtlymphError(f"{recipe} is not JSON ({error}); remove its folder, or add --overwrite") from error
        if former != self._recipe():
            raise CtlymphError(f"{self.folder} was made with other options; choose another folder, or add --overwrite")
        return True

    def write(self, *, overwrite: bool = False, progress: Progress = SILENT) -> Phantom:
        """Make the case and write ``ct/``, ``masks.nii.gz``, ``truth.csv`` and its recipe, all or nothing.

        Raises:
            CtlymphError: If the folder holds other files and ``overwrite`` is not set, or cannot be written.
        """
        with new_folder(self.folder, overwrite=overwrite) as staging:
            made = make_patient(self.spec, progress)
            phantom = replace(made, volume=replace(made.volume, case=self.folder.name))
            write_ct_series(phantom.volume, staging / "ct", self._header(), progress=progress)
            write_masks(phantom.masks, staging / "masks.nii.gz")
            write_rows(staging / "truth.csv", truth_rows(phantom))
            (staging / RECIPE).write_text(json.dumps(self._recipe(), indent=2) + "\n", encoding="utf-8")
        return phantom

    def _recipe(self) -> dict[str, object]:
        plain: dict[str, object] = json.loads(json.dumps(asdict(self.spec)))
        return plain

    def _header(self) -> CTHeader:
        name = self.folder.name
        return CTHeader(
            patient_id=name,
            patient_name=f"SYNTHETIC^{name}",
            study_id="1",
            study_description="SYNTHETIC torso with known lymph nodes",
            series_description="SYNTHETIC CT",
            derivation="Computed from a geometric model; no patient was scanned",
            comment="SYNTHETIC: no patient was scanned. For research use, not for diagnosis.",
            seed=f"phantom {name} {self.spec.seed}",
        )


def phantom_cases(folder: Path, count: int, spec: PhantomSpec) -> list[PhantomCase]:
    """List ``count`` cases, ``PHANTOM_0001`` and so on, each with its own seed drawn from ``spec.seed``.

    The seeds do not depend on ``count``: a larger collection begins with the smaller one.
    """
    seeds = (int(np.random.SeedSequence([spec.seed, n]).generate_state(1)[0]) for n in range(1, count + 1))
    return [PhantomCase(folder / f"PHANTOM_{n:04d}", replace(spec, seed=seed)) for n, seed in enumerate(seeds, start=1)]


def truth_rows(phantom: Phantom) -> list[NodeRow]:
    """Give the true nodes as rows of ``nodes.csv``: sizes of the shapes, HU before noise, no score, no model."""
    geometry = phantom.volume.geometry
    rows = []
    for node in phantom.nodes:
        rows.append(
            NodeRow(
                phantom.volume.case,
                node.node,
                *node.centre_mm,
                *geometry.nearest_voxel(node.centre_mm),
                score=None,
                region=node.region,
                station=node.station,
                short_axis_mm=node.short_axis_mm,
                long_axis_mm=node.long_axis_mm,
                volume_mm3=node.volume_mm3,
                mean_hu=node.hu,
                model="",
            )
        )
    return rows
