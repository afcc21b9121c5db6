"""What is judged and what it is judged by: the marks of a detector and the true nodes, over all cases."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctlymph.core.errors import CtlymphError, shown

Floats = NDArray[np.float64]
Ints = NDArray[np.int32]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, eq=False, kw_only=True)
class Detections:
    """All marks of one detector, over all cases; n of them.

    Attributes:
        name: The detector's name.
        cases: Names of cases, each once. Those without marks may be among them or not.
        case: Shape n: each mark's case, an index into ``cases``.
        points_mm: Shape n, 3: x, y, z in LPS mm.
        scores: Shape n: finite, larger for surer.
        injected: Shape n: True for a candidate that was added because the candidate generator had missed
            the node (the protocol of Roth 2014), so that only the classifier is judged by it.
        boxes_mm: Shape n, 2, 3: low and high corner of each mark's box, LPS mm; None where there are none.
        regions: Region of each mark; None where not known.
        named: The node that each mark says it is on, by its name within the case; empty for none. None where marks
            do not say so.

    Raises:
        ValueError: If a shape does not fit; it is named.
        CtlymphError: If a number is not finite, or a box's corners are the wrong way round.
    """

    name: str
    cases: tuple[str, ...]
    case: Ints
    points_mm: Floats
    scores: Floats
    injected: Bools
    boxes_mm: Floats | None = None
    regions: tuple[str, ...] | None = None
    named: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        of_whom = f"marks of {shown(self.name)}"
        _take(self, of_whom, "case", np.int32, ())
        count = len(self.case)
        for field, kind, shape in (
            ("points_mm", np.float64, (3,)),
            ("scores", np.float64, ()),
            ("injected", np.bool_, ()),
            ("boxes_mm", np.float64, (2, 3)),
        ):
            if field != "boxes_mm" or self.boxes_mm is not None:
                _take(self, of_whom, field, kind, shape, count)
        for label in ("regions", "named"):
            if getattr(self, label) is not None:
                _check_length(of_whom, label, getattr(self, label), count)
        _check_cases(of_whom, self.cases, self.case)
        _check_finite(self, of_whom, ("points_mm", "scores"))
        _check_boxes(self, of_whom)

    def __len__(self) -> int:
        return len(self.case)

    def of_cases(self, names: Collection[str]) -> Detections:
        """Give the marks of some cases; the others are no longer among ``cases``."""
        kept = tuple(case for case in self.cases if case in names)
        inside = self.chosen(np.isin(self.case, [self.cases.index(case) for case in kept]))
        place = np.array([kept.index(case) if case in names else -1 for case in self.cases], np.int32)
        return replace(inside, cases=kept, case=place[inside.case])

    def chosen(self, which: NDArray[Any]) -> Detections:
        """Give some of the marks: ``which`` is a mask or indices. Cases stay."""
        rows = np.flatnonzero(which) if which.dtype == np.bool_ else which
        return Detections(
            name=self.name,
            cases=self.cases,
            case=self.case[rows],
            points_mm=self.points_mm[rows],
            scores=self.scores[rows],
            injected=self.injected[rows],
            boxes_mm=None if self.boxes_mm is None else self.boxes_mm[rows],
            regions=None if self.regions is None else tuple(self.regions[row] for row in rows),
            named=None if self.named is None else tuple(self.named[row] for row in rows),
        )


@dataclass(frozen=True, eq=False, kw_only=True)
class GroundTruth:
    """All true nodes, over all cases that were looked at; m of them.

    Attributes:
        cases: Names of all cases that were looked at, each once, those without nodes too: they are the volumes.
        patients: The patient of each case. Two names of one scan are of one patient.
        regions: The region that was annotated in each case, several separated by semicolons; empty where not known.
        case: Shape m: each node's case, an index into ``cases``.
        points_mm: Shape m, 3: the node's centre, x, y, z in LPS mm.
        short_axis_mm: Shape m: NaN where not known.
        long_axis_mm: Shape m: NaN where not known.
        stations: Lymph node station of each node; empty where not known.
        ids: The node's name within its case: its row or its label.
        boxes_mm: Shape m, 2, 3: low and high corner of each node's box, LPS mm; None where there are none.
        node_regions: The region of each node in a case with several; empty for the region of its case. None: as if all
            were empty.

    Raises:
        ValueError: If a shape does not fit; it is named.
        CtlymphError: If a point is not finite, an axis is not positive, or a node is named twice.
    """

    cases: tuple[str, ...]
    patients: tuple[str, ...]
    regions: tuple[str, ...]
    case: Ints
    points_mm: Floats
    short_axis_mm: Floats
    long_axis_mm: Floats
    stations: tuple[str, ...]
    ids: tuple[str, ...]
    boxes_mm: Floats | None = None
    node_regions: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        _take(self, "true nodes", "case", np.int32, ())
        count = len(self.case)
        _take(self, "true nodes", "points_mm", np.float64, (3,), count)
        _take(self, "true nodes", "short_axis_mm", np.float64, (), count)
        _take(self, "true nodes", "long_axis_mm", np.float64, (), count)
        if self.boxes_mm is not None:
            _take(self, "true nodes", "boxes_mm", np.float64, (2, 3), count)
        for field, length in (("patients", len(self.cases)), ("regions", len(self.cases))):
            _check_length("true nodes", field, getattr(self, field), length)
        for field in ("stations", "ids"):
            _check_length("true nodes", field, getattr(self, field), count)
        if self.node_regions is not None:
            _check_length("true nodes", "node_regions", self.node_regions, count)
        _check_cases("true nodes", self.cases, self.case)
        _check_finite(self, "true nodes", ("points_mm",))
        _check_boxes(self, "true nodes")
        self._check_axes()
        if twice := _twice(zip(self.case.tolist(), self.ids, strict=True)):
            raise CtlymphError(f"{self.cases[twice[0]]}: two nodes are named {shown(twice[1])}; number them apart")

    def __len__(self) -> int:
        return len(self.case)

    def of_region(self, region: str) -> GroundTruth:
        """Return the cases in which a region was annotated, and their nodes there.

        Raises:
            CtlymphError: If there is none.
        """
        kept = [number for number, each in enumerate(self.regions) if region in each.split(";")]
        if not kept:
            known = ", ".join(sorted({each or "not known" for each in self.regions}))
            raise CtlymphError(f"the {region} was annotated in no case (annotated: {known}); leave the region out")
        node_regions = self.node_regions or ("",) * len(self)
        inside = [each in ("", region) for each in node_regions]
        rows = np.flatnonzero(np.isin(self.case, kept) & np.array(inside, dtype=bool))
        place = np.full(len(self.cases), -1, np.int32)
        place[kept] = np.arange(len(kept))
        return GroundTruth(
            cases=tuple(self.cases[number] for number in kept),
            patients=tuple(self.patients[number] for number in kept),
            regions=(region,) * len(kept),
            case=place[self.case[rows]],
            points_mm=self.points_mm[rows],
            short_axis_mm=self.short_axis_mm[rows],
            long_axis_mm=self.long_axis_mm[rows],
            stations=tuple(self.stations[row] for row in rows),
            ids=tuple(self.ids[row] for row in rows),
            boxes_mm=None if self.boxes_mm is None else self.boxes_mm[rows],
        )

    def _check_axes(self) -> None:
        for axis in ("short_axis_mm", "long_axis_mm"):
            length = getattr(self, axis)
            wrong = np.flatnonzero(~(np.isnan(length) | ((length > 0) & np.isfinite(length))))
            if len(wrong):
                node = wrong[0]
                raise CtlymphError(
                    f"{self.cases[self.case[node]]}, node {shown(self.ids[node])}: {axis} is {length[node]:g}; "
                    "give a length above 0, or nothing where it is not known"
                )


def _take(
    owner: object, of_whom: str, field: str, kind: type, shape: tuple[int, ...], count: int | None = None
) -> None:
    """Make a field an array of its kind that nobody can change, and see that its shape fits."""
    given = np.asarray(getattr(owner, field))
    if given.size == 0 and given.ndim == 1:
        given = given.reshape(0, *shape)
    expected = (len(given) if count is None and given.ndim else count or 0, *shape)
    if given.shape != expected:
        raise ValueError(f"{of_whom}: {field} has shape {given.shape}, expected {expected}")
    array: NDArray[Any] = given.astype(kind, copy=False).view()
    array.flags.writeable = False
    object.__setattr__(owner, field, array)


def _check_length(of_whom: str, field: str, given: tuple[str, ...], expected: int) -> None:
    if len(given) != expected:
        raise ValueError(f"{of_whom}: {field} has length {len(given)}, expected {expected}")


def _check_cases(of_whom: str, cases: tuple[str, ...], case: Ints) -> None:
    if len(case) and not (case.min() >= 0 and case.max() < len(cases)):
        raise ValueError(f"{of_whom}: case holds {case.min()} to {case.max()}, expected 0 to {len(cases) - 1}")
    if twice := _twice(cases):
        raise CtlymphError(f"{of_whom}: two cases are named {shown(twice)}; name them apart")


def _check_finite(owner: Detections | GroundTruth, of_whom: str, fields: tuple[str, ...]) -> None:
    for field in fields:
        array = getattr(owner, field)
        if not np.isfinite(array).all():
            row = int(np.argwhere(~np.isfinite(array))[0, 0])
            raise CtlymphError(
                f"{of_whom}: {field} of {owner.cases[owner.case[row]]} holds {array[row]}; give finite numbers"
            )


def _check_boxes(owner: Detections | GroundTruth, of_whom: str) -> None:
    if owner.boxes_mm is None:
        return
    _check_finite(owner, of_whom, ("boxes_mm",))
    wrong = np.flatnonzero((owner.boxes_mm[:, 0] > owner.boxes_mm[:, 1]).any(axis=1))
    if len(wrong):
        raise CtlymphError(
            f"{of_whom}: a box of {owner.cases[owner.case[wrong[0]]]} has its low corner above its high one; "
            "give corners as x, y, z in LPS mm, low first"
        )


def _twice(names: Iterable[Any]) -> Any:
    """Give the first that comes a second time, or None."""
    seen = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None
