"""Folds for cross-validation: by patient, balanced, and written to a file that anyone can reuse."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctlymph.core.errors import CtlymphError, shown
from ctlymph.datasets.case import Case
from ctlymph.datasets.ct_lymph_nodes.catalogue import TITLE, CatalogueEntry, catalogue
from ctlymph.io.atomic import explained, new_file

SCHEME = "ctlymph-folds-1"
"""Names the way in which :func:`make_folds` distributes cases; it changes when the same seed would give other folds."""

_NOT_PUBLISHED = "Only the number of folds is the paper's: its lists of cases were not published."


@dataclass(frozen=True)
class FoldSetting:
    """The cross-validation of a publication: the number of its folds, for its lists of cases were not published."""

    k: int
    citation: str


FOLD_SETTINGS = {
    "roth2014": FoldSetting(3, "Roth HR et al., MICCAI 2014, https://doi.org/10.1007/978-3-319-10404-1_65"),
    "seff2014": FoldSetting(6, "Seff A et al., MICCAI 2014, https://arxiv.org/abs/1408.3337"),
    "iuga2021": FoldSetting(4, "Iuga AI et al., BMC Medical Imaging 2021, https://doi.org/10.1186/s12880-021-00599-z"),
}
"""Cross-validations of the literature by name. Only the number of folds is the papers'."""


@dataclass(frozen=True)
class Folds:
    """Cases in folds: each case in one fold, and all names of one scan in the same.

    Attributes:
        folds: Names of the cases of each fold, sorted.
        seed: What the folds were made from.
        setting: Key of :data:`FOLD_SETTINGS`, or empty.

    Raises:
        CtlymphError: If there are fewer than two folds, one is empty, a case is in several, or two names of one
            scan are apart.
    """

    folds: tuple[tuple[str, ...], ...]
    seed: int = 0
    setting: str = ""
    _fold_of: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if len(self.folds) < 2:
            raise CtlymphError("cross-validation needs at least 2 folds; choose more")
        fold_of: dict[str, int] = {}
        for number, names in enumerate(self.folds):
            if not names:
                raise CtlymphError(f"fold {number} holds no case; choose fewer folds, or more cases")
            for name in names:
                if name in fold_of:
                    raise CtlymphError(f"{shown(name)} is in folds {fold_of[name]} and {number}; put it in one")
                fold_of[name] = number
        for name, number in fold_of.items():
            entry = catalogue().entry(name)
            other = entry.same_scan_as if entry else None
            if other and fold_of.get(other, number) != number:
                raise CtlymphError(
                    f"{name} and {other} are one scan, but in folds {number} and {fold_of[other]}; put them in one fold"
                )
        object.__setattr__(self, "_fold_of", fold_of)

    @property
    def k(self) -> int:
        """Number of folds."""
        return len(self.folds)

    @property
    def names(self) -> list[str]:
        """All cases, sorted."""
        return sorted(self._fold_of)

    def fold_of(self, name: str) -> int:
        """Return the fold of a case, from 0.

        Raises:
            CtlymphError: If it is in none.
        """
        if name not in self._fold_of:
            raise CtlymphError(f"{shown(name)} is in no fold; make folds of all cases that you use")
        return self._fold_of[name]

    def check(self, cases: Iterable[Case]) -> None:
        """Check that every case is in a fold, and all cases of a patient are in the same.

        Raises:
            CtlymphError: If not; it names the cases.
        """
        first: dict[str, str] = {}
        for case in cases:
            other = first.setdefault(case.patient, case.name)
            if self.fold_of(case.name) != self.fold_of(other):
                raise CtlymphError(f"{other} and {case.name} are of one patient; put them in one fold")

    def test(self, fold: int) -> list[str]:
        """Name the cases that are tested in a round, from 0."""
        return list(self.folds[fold])

    def train(self, fold: int) -> list[str]:
        """Name the cases that may be trained on in a round: those of all other folds."""
        return sorted(name for number, names in enumerate(self.folds) if number != fold for name in names)

    def only(self, names: Iterable[str]) -> Folds:
        """Return the folds of some of the cases.

        Raises:
            CtlymphError: If a case is in no fold, or a fold would be empty.
        """
        kept: list[list[str]] = [[] for _ in self.folds]
        for name in sorted(set(names)):
            kept[self.fold_of(name)].append(name)
        return Folds(tuple(map(tuple, kept)), self.seed, self.setting)

    def write(self, path: Path, *, overwrite: bool = False) -> None:
        """Write them as JSON.

        Raises:
            CtlymphError: If the file exists and ``overwrite`` is not set, or cannot be written.
        """
        setting = FOLD_SETTINGS.get(self.setting)
        document = {
            "scheme": SCHEME,
            "collection": TITLE,
            "k": self.k,
            "seed": self.seed,
            "setting": self.setting,
            "about": f"{setting.k} folds as in {setting.citation}. {_NOT_PUBLISHED}" if setting else "",
            "folds": [list(names) for names in self.folds],
        }
        with new_file(path, overwrite=overwrite) as staging, explained(path):
            staging.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read_folds(path: Path) -> Folds:
    """Read folds that :meth:`Folds.write` wrote, or anyone in the same form; only ``folds`` must be there.

    Raises:
        CtlymphError: If the file cannot be read, or its folds are none (see :class:`Folds`).
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise CtlymphError(f"cannot read {path}: {shown(error)}; give a file of folds") from error
    if not isinstance(document, dict) or not _are_names(document.get("folds")):
        raise CtlymphError(f"{path} holds no folds (a list of lists of case names); give a file of folds")
    seed, setting = document.get("seed", 0), document.get("setting", "")
    if not isinstance(seed, int) or not isinstance(setting, str):
        raise CtlymphError(f"{path}: its seed is no whole number, or its setting no name; correct it")
    try:
        return Folds(tuple(tuple(sorted(names)) for names in document["folds"]), seed, setting)
    except CtlymphError as error:
        raise error.at(path) from error


def _are_names(folds: Any) -> bool:
    return isinstance(folds, list) and all(
        isinstance(names, list) and all(isinstance(name, str) for name in names) for names in folds
    )


def make_folds(cases: Iterable[CatalogueEntry | Case], k: int, seed: int = 0, setting: str = "") -> Folds:
    """Distribute cases over folds that are nearly equal in cases and annotated nodes, for each region.

    All cases of a patient come into the same fold. Patients are distributed in an
    order that follows from the seed, then moved and exchanged as long as that
    evens the folds.

    >>> folds = make_folds(catalogue().entries, 5, seed=1)
    >>> [len(names) for names in folds.folds], folds.fold_of("MED_LYMPH_002") == folds.fold_of("ABD_LYMPH_001")
    ([35, 35, 36, 35, 35], True)

    The same cases, k and seed give the same folds in
    whatever order the cases come, on any machine: the arithmetic is whole-numbered.

    Args:
        cases: Entries of the catalogue, for which no data is needed, or cases. Those that are
            not of the public collection count the nodes of their annotation files.
        k: Number of folds.
        seed: Other seeds give other folds.
        setting: Key of :data:`FOLD_SETTINGS` to note in them.

    Raises:
        CtlymphError: If ``k`` is below 2 or above the number of patients, or a case comes twice.
    """
    groups = _scans([CaseCounts.of(case) for case in cases])
    if not 2 <= k <= len(groups):
        raise CtlymphError(f"{len(groups)} patients do not fill {k} folds; choose 2 to {len(groups)} folds")
    groups.sort(key=lambda group: _shuffled(group[0].name, seed))
    fold_of = _evened(_counts(groups), np.arange(len(groups)) % k, k)
    folds: list[list[str]] = [[] for _ in range(k)]
    for group, number in zip(groups, fold_of.tolist(), strict=True):
        folds[number].extend(case.name for case in group)
    return Folds(tuple(tuple(sorted(names)) for names in folds), seed, setting)


def counts(cases: Iterable[CatalogueEntry | Case]) -> dict[str, CaseCounts]:
    """Return the counts that :func:`make_folds` evens out, by case."""
    return {case.name: case for case in map(CaseCounts.of, cases)}


@dataclass(frozen=True)
class CaseCounts:
    """One case as folds count it: its annotated nodes by region, and its patient."""

    name: str
    nodes: dict[str, int]
    patient: str

    @classmethod
    def of(cls, case: CatalogueEntry | Case) -> CaseCounts:
        """Count a case."""
        entry = case if isinstance(case, CatalogueEntry) else case.entry
        if entry is not None:
            return cls(entry.case, {entry.region: len(entry.short_axes_mm)}, case.patient)
        assert isinstance(case, Case)
        nodes = case.nodes() if "annotations" in case.has else ()
        if len(case.regions) < 2:
            return cls(case.name, {case.region: len(nodes)}, case.patient)
        of_region = Counter(node.region for node in nodes)
        return cls(case.name, {region: of_region[region] for region in case.regions}, case.patient)


def _scans(cases: Sequence[CaseCounts]) -> list[list[CaseCounts]]:
    """Put the cases of each patient together, sorted by name."""
    names = [case.name for case in cases]
    if twice := next((name for name, count in Counter(names).items() if count > 1), None):
        raise CtlymphError(f"{shown(twice)} comes twice; name each case once")
    of_patient: dict[str, list[CaseCounts]] = {}
    for case in sorted(cases, key=lambda case: case.name):
        of_patient.setdefault(case.patient, []).append(case)
    return list(of_patient.values())


def _shuffled(name: str, seed: int) -> bytes:
    """Return a sort key that is as good as random, and the same in every version of numpy."""
    return hashlib.sha256(f"{seed} {name}".encode()).digest()


def _counts(groups: Sequence[Sequence[CaseCounts]]) -> NDArray[np.int64]:
    """Count cases and nodes of each region, ``(groups, 2 · regions)``."""
    regions = sorted({region for group in groups for case in group for region in case.nodes})
    counts = np.zeros((len(groups), len(regions), 2), dtype=np.int64)
    for number, group in enumerate(groups):
        for case in group:
            for region, nodes in case.nodes.items():
                counts[number, regions.index(region)] += (1, nodes)
    return counts.reshape(len(groups), -1)


def _evened(counts: NDArray[np.int64], fold_of: NDArray[np.int64], k: int) -> NDArray[np.int64]:
    """Move or exchange groups, each time where it helps most, until nothing lowers the unevenness.

    Unevenness is the sum, over folds and columns, of squared counts, each column in parts of its
    total. A fold is never emptied, since that raises it.
    """
    totals = np.maximum(counts.sum(axis=0), 1)
    weights = 10**12 // totals**2  # whole numbers, so that no rounding decides between equals
    fold_of = fold_of.copy()
    while True:
        sums = np.stack([counts[fold_of == fold].sum(axis=0) for fold in range(k)])
        # Row a, column b < groups: a and b change places; column groups + f: a moves to fold f.
        others = np.concatenate([counts, np.zeros((k, counts.shape[1]), dtype=np.int64)])
        places = np.concatenate([fold_of, np.arange(k)])
        gain = others[None] - counts[:, None]
        ahead = sums[fold_of][:, None] - sums[places][None]
        change = 2 * (weights * gain * (ahead + gain)).sum(axis=-1)
        change[fold_of[:, None] == places[None]] = 0
        a, b = np.unravel_index(int(change.argmin()), change.shape)
        if change[a, b] >= 0:
            return fold_of
        if b < len(counts):
            fold_of[a], fold_of[b] = fold_of[b], fold_of[a]
        else:
            fold_of[a] = places[b]
