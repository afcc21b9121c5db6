"""Cases made from given CTs: their names, and the patients into whose CTs nodes are inserted."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ctlymph.anatomy.landmarks import find_landmarks
from ctlymph.anatomy.search_regions import find_regions
from ctlymph.core.errors import CtlymphError
from ctlymph.core.progress import SILENT, Progress
from ctlymph.core.regions import ABDOMEN, MEDIASTINUM
from ctlymph.core.volume import Volume
from ctlymph.datasets.ct_lymph_nodes.catalogue import catalogue
from ctlymph.io import read
from ctlymph.phantom.collection.case_files import CaseToWrite, annotated
from ctlymph.phantom.collection.insertion import Insertion, insert_nodes
from ctlymph.phantom.collection.patients import PREFIX, Patient, PhantomOptions, region_of
from ctlymph.phantom.collection.simulated_candidates import candidates_in_ct
from ctlymph.phantom.nodes.timepoints import LineageRow

_NOTICE = (
    "SYNTHETIC LYMPH NODES\n\n`ctlymph phantom` put computed lymph nodes into CTs of patients.\n"
    "Only these are annotated. Nodes that the patients have themselves are not: a detector that marks one of them\n"
    "is counted as wrong. The CTs remain under the terms of those who gave them. Names of cases and files are those\n"
    "of the collection CT Lymph Nodes (TCIA); nothing in it comes from that collection.\n"
    "For research use, not for diagnosis.\n"
)


_NAMES = 999
"""Numbers that a case's name may have."""


@dataclass(frozen=True)
class Background:
    """A CT into which nodes are inserted.

    Attributes:
        path: Where it lies.
        digest: SHA-256 of its voxels and their places.
        regions: Those that it shows.
    """

    path: Path
    digest: str
    regions: tuple[str, ...]


def read_background(path: Path) -> Background:
    """Read a CT into which nodes are to be inserted, and find the regions that it shows.

    Args:
        path: DICOM folder or file, or an image file.

    Raises:
        CtlymphError: If it cannot be read, or shows neither mediastinum nor abdomen. The error names the file.
    """
    volume = read(path).reorient("LPS")
    try:
        regions = tuple(region.name for region in find_regions(find_landmarks(volume)))
    except CtlymphError as error:
        raise error.at(path) from error
    return Background(path, _digest(volume), regions)


def _digest(volume: Volume) -> str:
    digest = hashlib.sha256(volume.geometry.affine.tobytes())
    for plane in volume.hu:
        digest.update(plane.tobytes())
    return digest.hexdigest()


@dataclass(frozen=True)
class InsertedPatient(Patient):
    """A patient into whose CT nodes are inserted.

    Attributes:
        background: The CT.
        draw: Each draw inserts other nodes.
    """

    background: Background
    draw: int = 0

    def recipe(self) -> dict[str, object]:
        """Return everything that determines the patient, as JSON values."""
        return {
            "background_sha256": self.background.digest,
            "draw": self.draw,
            "regions": list(self.background.regions),
            "seed": self.options.seed,
            "layout": self.options.layout,
        }

    def scans(self, progress: Progress = SILENT) -> Iterator[tuple[Iterable[CaseToWrite], tuple[LineageRow, ...]]]:
        """Yield the CT with nodes inserted; there is one scan."""
        path = self.background.path
        volume = replace(read(path), case=str(path))  # errors name the file by it
        yield self._cases(insert_nodes(volume, self._seed, progress)), ()

    @property
    def notice(self) -> str:
        """Text of the file in the collection's folder that says what it is."""
        return _NOTICE

    @property
    def _seed(self) -> int:
        """Seed of this CT: it gets the same nodes wherever it stands among others."""
        entropy = [self.options.seed, int(self.background.digest[:16], 16)] + [self.draw] * (self.draw > 0)
        return int(np.random.SeedSequence(entropy).generate_state(1)[0])

    def _cases(self, inserted: Insertion) -> Iterable[CaseToWrite]:
        for name in self.names:
            region = next(each for each in inserted.regions if each.name == region_of(name))
            rng = np.random.default_rng([self._seed, len(name), *name.encode()])
            nodes = annotated(inserted.phantom, region.name)
            found = candidates_in_ct(inserted.phantom.volume, region, nodes, rng)
            yield CaseToWrite(name, region.name, inserted.phantom, found, "", None, seed=self._seed, inserted=True)


def inserted_patients(
    folder: Path, backgrounds: Sequence[Background], options: PhantomOptions, draws: int = 1
) -> list[InsertedPatient]:
    """Return a patient for each CT and draw, with the names of its cases.

    A CT of both regions gets two names that are one scan in the public collection, too.

    Where names of the public collection run out, they are counted on.

    Args:
        folder: The collection.
        backgrounds: The CTs.
        options: The user's.
        draws: How often nodes are inserted into each, other ones each time. All draws of a CT are one patient.

    Raises:
        CtlymphError: If there are more CTs than names.
    """
    entries = catalogue().entries
    free: dict[tuple[str, ...], list[tuple[str, ...]]] = {
        (region,): [(e.case,) for e in entries if e.case.startswith(prefix) and not e.same_scan_as]
        for region, prefix in PREFIX.items()
    }
    free[MEDIASTINUM, ABDOMEN] = [
        (e.case, e.same_scan_as) for e in entries if e.case.startswith(PREFIX[MEDIASTINUM]) and e.same_scan_as
    ]
    known = {entry.case for entry in entries}
    beyond = [n for n in range(1, _NAMES + 1) if not any(f"{p}_LYMPH_{n:03d}" in known for p in PREFIX.values())]
    patients = []
    for background, draw in ((each, draw) for draw in range(draws) for each in backgrounds):
        names = free[background.regions]
        if not names and not beyond:
            raise CtlymphError(f"too many CTs for one collection, from {background.path} on; make another")
        chosen = names.pop(0) if names else _counted_on(beyond.pop(0), background.regions)
        patients.append(InsertedPatient(folder, chosen, options, background, draw))
    return patients


def _counted_on(number: int, regions: Sequence[str]) -> tuple[str, ...]:
    return tuple(f"{PREFIX[region]}_LYMPH_{number:03d}" for region in regions)
