"""What the exports share: which cases can go, what is written beside them, and how files are placed."""

from __future__ import annotations

import filecmp
import json
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ctlymph.core.errors import CtlymphError, Remedy, shown
from ctlymph.datasets.case import Case
from ctlymph.datasets.ct_lymph_nodes import cite
from ctlymph.datasets.exports.prepared import PreparedCase
from ctlymph.datasets.folds import Folds
from ctlymph.io.atomic import explained, new_file

MADE_BY = "made_by"
PUBLIC_NAME = "CTLymphNodes"
"""Name of the dataset that the public collection becomes."""
ONE_REGION = (
    "Nodes are labelled only in the region that is given for each case. Elsewhere in the CT, unlabelled voxels may be"
    " nodes."
)
CAVEATS = (
    ONE_REGION,
    "Not every visible node is labelled, least of all in MED cases.",
    "Some scans are here under two names (shared_scan): what is background under one may be a node under the other."
    " Keep both names in one fold.",
)
"""What everybody who trains on the public collection must know; the first holds for any dataset."""


@dataclass(frozen=True)
class ExportJob:
    """An export: which cases, where, and under what name.

    Attributes:
        cases: What to export, in order. Cases of the test split are exported apart from the others.
        folder: Where to.
        task: Number of the dataset, for forms that number them.
        name: Name of the dataset: letters, digits, ``-`` and ``_``.
        folds: For cross-validation; None for none.
        overwrite: Replace what stands there and was made from other files, or by others.
    """

    cases: Sequence[Case]
    folder: Path
    task: int = 501
    name: str = PUBLIC_NAME
    folds: Folds | None = None
    overwrite: bool = False

    def __post_init__(self) -> None:
        if not self.cases:
            raise CtlymphError("there is no case to export; name others, or another region")
        if not self.name.replace("-", "").replace("_", "").isalnum() or not self.name.isascii():
            raise CtlymphError(f"{shown(self.name)} is no name for a dataset; use letters, digits, - and _")
        if not 1 <= self.task <= 999:
            raise CtlymphError(f"{self.task} is no number for a dataset; choose one from 1 to 999")
        if self.folds is not None:
            training = [case for case in self.cases if not case.is_test]
            self.folds.check(training)
            object.__setattr__(self, "folds", self.folds.only(case.name for case in training))

    @property
    def tests(self) -> frozenset[str]:
        """Names of the cases that are for testing only."""
        return frozenset(case.name for case in self.cases if case.is_test)

    @property
    def is_public(self) -> bool:
        """Whether all cases are of the public collection."""
        return all(case.entry for case in self.cases)


def default_name(cases: Sequence[Case], folder: Path) -> str:
    """Return a name for the dataset of some cases: that of the public collection, or one made of the folder's."""
    if all(case.entry for case in cases):
        return PUBLIC_NAME
    return re.sub(r"[^A-Za-z0-9_-]+", "", folder.name) or "LymphNodes"


def complete_cases(
    cases: Iterable[Case], needed: Sequence[frozenset[str]], *, skip: bool
) -> tuple[list[Case], list[str]]:
    """Split the cases into those that have what an export needs, and a sentence for each of the others.

    Cases whose CT has fewer slices than the collection's stay in, and a sentence says so.

    Args:
        cases: Cases.
        needed: Data types, of :data:`ctlymph.datasets.case.DATA_TYPES`; of each set one must be there.
        skip: Go on without the others, rather than refuse.

    Raises:
        CtlymphError: If data of a case are absent and ``skip`` is not set.
    """
    whole, lacking = [], {}
    for case in cases:
        absent = [" or ".join(sorted(types)) for types in needed if not types & case.has]
        if absent:
            lacking[case.name] = " and ".join(absent)
        else:
            whole.append(case)
    if lacking and not skip:
        listed = ", ".join(f"{name} ({what})" for name, what in lacking.items())
        raise CtlymphError(
            f"{len(lacking)} of {len(lacking) + len(whole)} cases are incomplete, they lack: {listed}",
            Remedy.SKIP_INCOMPLETE,
        )
    cut = [case for case in whole if case.missing_slices and any("ct" in types for types in needed)]
    remarks = [
        f"{case.name} lacks {case.missing_slices} slices of its CT; see ctlymph collection verify" for case in cut
    ]
    return whole, [*remarks, *(f"{name} is left out: it has no {what}" for name, what in lacking.items())]


def provenance(job: ExportJob) -> dict[str, Any]:
    """Return what every export says of itself: origin, licence, what to cite, what to beware of."""
    public = job.is_public
    licences = sorted({case.licence for case in job.cases} - {""})
    return {
        "name": job.name,
        "description": "Lymph nodes in CT; exported from CT Lymph Nodes (The Cancer Imaging Archive)" if public else "",
        "reference": cite.PAGE_URL if public else "",
        "licence": f"{cite.LICENSE_NAME} ({cite.LICENSE_URL})" if public else ", ".join(licences),
        "citations": [reference.as_text() for reference in cite.REFERENCES] if public else [],
        "release": version("ctlymph"),
        MADE_BY: "ctlymph",
        "caveats": list(CAVEATS if public else (ONE_REGION,)),
        "cases": {case.name: {"region": case.region, "known_defects": sorted(case.flags)} for case in job.cases},
    }


def split_by_use(job: ExportJob, cases: Sequence[PreparedCase]) -> tuple[list[PreparedCase], list[PreparedCase]]:
    """Return the cases to train on, and those of the test split."""
    tests = job.tests
    return [case for case in cases if case.name not in tests], [case for case in cases if case.name in tests]


def write_terms(job: ExportJob) -> None:
    """Write the licence of the collection and what to cite into the folder, unless there are such files.

    Raises:
        CtlymphError: If they cannot be written.
    """
    if job.is_public:
        texts = {"LICENSE.txt": cite.license_text(), "CITATION.txt": cite.as_text(), "CITATION.bib": cite.as_bibtex()}
        for name, text in texts.items():
            path = job.folder / name
            if not path.exists():
                with new_file(path) as staging, explained(path):
                    staging.write_text(text, encoding="utf-8")


def write_splits(path: Path, folds: Folds | None, *, overwrite: bool) -> None:
    """Write folds as nnU-Net and nnDetection want them: for each round the cases to train on and to validate with.

    Without folds a file that is there stays, unless ``overwrite`` is set: its cases may be others.

    Raises:
        CtlymphError: If another file is there and ``overwrite`` is not set, or it cannot be written.
    """
    if folds is None:
        if overwrite:
            path.unlink(missing_ok=True)
        return
    rounds = [{"train": folds.train(fold), "val": folds.test(fold)} for fold in range(folds.k)]
    text = json.dumps(rounds, indent=2) + "\n"
    if path.is_file() and path.read_bytes() == text.encode():
        return
    with new_file(path, overwrite=overwrite) as staging, explained(path):
        staging.write_text(text, encoding="utf-8")


def write_json(path: Path, document: Any, *, overwrite: bool) -> None:
    """Write a JSON file; one that an export wrote before is replaced, one that others wrote only with ``overwrite``.

    Raises:
        CtlymphError: If the file is by others, or cannot be written.
    """
    ours = path.is_file() and _is_ours(path)
    with new_file(path, overwrite=overwrite or ours) as staging, explained(path):
        staging.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _is_ours(path: Path) -> bool:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False  # whatever it is, an export did not write it
    return isinstance(document, dict) and MADE_BY in document


def place(folder: Path, files: Mapping[str, Path], *, overwrite: bool) -> None:
    """Make ``folder`` hold these files and no others.

    Each is a hard link, which takes no space, or a copy where the disk knows no links.

    Args:
        folder: Made if absent, unless there are no files.
        files: Where the content of each lies, by name.
        overwrite: Replace other files of these names, and remove files of other names.

    Raises:
        CtlymphError: If the folder holds other files and ``overwrite`` is not set, or cannot be written.
    """
    with explained(folder):
        if not files and not folder.exists():
            return
        folder.mkdir(parents=True, exist_ok=True)
        foreign = sorted(each for each in folder.iterdir() if each.name not in files and not each.name.startswith("."))
        if foreign and not overwrite:
            raise CtlymphError(f"{folder} holds {foreign[0].name}, which is not of this export", Remedy.OVERWRITE)
        for each in foreign:
            each.unlink()
    for name, source in files.items():
        target = folder / name
        if not _is_same(target, source):
            with new_file(target, overwrite=overwrite) as staging, explained(target):
                _link(source, staging)


def _is_same(target: Path, source: Path) -> bool:
    """Return whether a file is a link to the source, or a copy: by size and time of writing, or else by content."""
    return target.exists() and (target.samefile(source) or filecmp.cmp(target, source))


def _link(source: Path, target: Path) -> None:
    try:
        target.hardlink_to(source)
    except OSError:  # another disk, or one without links
        shutil.copy2(source, target)
