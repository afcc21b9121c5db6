"""What is evaluated, and against what: the detections of one detector and the true nodes, over all cases."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ctlymph.core.errors import CtlymphError, shown

Floats = NDArray[np.float64]
Ints = NDArray[np.int32]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Detections:
    """All detections ("marks") of one detector, over all cases; n of them.

    Attributes:
        name: The detector's name.
        cases: Names of cases, each once. Those without detections may be among them or not.
        case: Shape n: each detection's case, an index into ``cases``.
        points_mm: Shape n, 3: x, y, z in LPS mm.
        scores: Shape n: finite, larger for a more certain detection.
        injected: Shape n: True for a candidate that was added because the candidate generator had missed
            the node (the protocol of Roth 2014), so that the classifier alone is evaluated. Default: all False.
        boxes_mm: Shape n, 2, 3: low and high corner of each detection's box, LPS mm; None where there are none.
        regions: Region of each detection; None where not known.
        node_ids: The name of the node that each detection is said to be on; empty for none. None where not known.
        notes: What a reader of the results should know about how the detections were read, a sentence each.

    Raises:
        ValueError: If a shape does not fit; it is named.
        CtlymphError: If a number is not finite, or a box's corners are the wrong way round.
    """

    name: str
    cases: tuple[str, ...]
    case: Ints
    points_mm: Floats
    scores: Floats
    injected: Bools = field(default_factory=lambda: np.empty(0, bool))
    boxes_mm: Floats | None = None
    regions: tuple[str, ...] | None = None
    node_ids: tuple[str, ...] | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        owner = f"detections of {shown(self.name)}"
        _freeze(self, owner, "case", np.int32, ())
        count = len(self.case)
        if count and not np.size(self.injected):
            object.__setattr__(self, "injected", np.zeros(count, bool))
        for name, kind, shape in (
            ("points_mm", np.float64, (3,)),
            ("scores", np.float64, ()),
            ("injected", np.bool_, ()),
            ("boxes_mm", np.float64, (2, 3)),
        ):
            if name != "boxes_mm" or self.boxes_mm is not None:
                _freeze(self, owner, name, kind, shape, count)
        for name in ("regions", "node_ids"):
            if getattr(self, name) is not None:
                _check_length(owner, name, getattr(self, name), count)
        _check_cases(owner, self.cases, self.case)
        _check_finite(self, owner, ("points_mm", "scores"))
        _check_boxes(self, owner)

    @classmethod
    def from_points(
        cls, points_mm: Mapping[str, ArrayLike], scores: Mapping[str, ArrayLike] | None = None, name: str = "detections"
    ) -> Detections:
        """Return detections from points by case.

        Args:
            points_mm: By name of case, shape k, 3: x, y, z in LPS mm; k may be 0.
            scores: By name of case, shape k; None: all are 1.
            name: The detector's name.

        Example:
            >>> Detections.from_points({"scan 1": [(10, 20, 30)]}, {"scan 1": [0.9]})
            Detections('detections': 1 in 1 case)
        """
        parts = [cls.of_case(case, at, None if scores is None else scores[case]) for case, at in points_mm.items()]
        return cls.concatenate(name, parts)

    @classmethod
    def of_case(
        cls, case: str, points_mm: ArrayLike, scores: ArrayLike | None = None, *, region: str = "", **known: Any
    ) -> Detections:
        """Return the detections of one case; without ``scores`` all are 1.

        Args:
            case: Its name.
            points_mm: Shape k, 3: x, y, z in LPS mm.
            scores: Shape k.
            region: Of all of them, or empty.
            **known: Other attributes of this class.
        """
        points = np.asarray(points_mm, np.float64).reshape(-1, 3)
        count = len(points)
        return cls(
            name=case,
            cases=(case,),
            case=np.zeros(count, np.int32),
            points_mm=points,
            scores=np.ones(count) if scores is None else np.asarray(scores, np.float64),
            regions=(region,) * count if region else None,
            **known,
        )

    @classmethod
    def concatenate(cls, name: str, parts: Iterable[Detections]) -> Detections:
        """Return the detections of all parts, under one name.

        Boxes and ``node_ids`` are kept if all parts with detections have them. Notes that several parts share are kept
        once.

        Raises:
            CtlymphError: If two parts hold the same case.
        """
        found = list(parts)
        cases = [case for part in found for case in part.cases]
        if twice := _first_duplicate(cases):
            raise CtlymphError(f"{name} holds detections of {shown(twice)} twice; give each case once")
        filled = [part for part in found if len(part)]
        has_regions = any(part.regions is not None for part in filled)
        return cls(
            name=name,
            cases=tuple(cases),
            case=_joined_cases(found),
            points_mm=np.concatenate([np.empty((0, 3)), *(part.points_mm for part in found)]),
            scores=np.concatenate([np.empty(0), *(part.scores for part in found)]),
            injected=np.concatenate([np.empty(0, bool), *(part.injected for part in found)]),
            boxes_mm=_joined_boxes(filled),
            regions=_joined_texts(part.regions or ("",) * len(part) for part in filled) if has_regions else None,
            node_ids=None
            if any(part.node_ids is None for part in found)
            else _joined_texts(part.node_ids or () for part in found),
            notes=tuple(dict.fromkeys(note for part in found for note in part.notes)),
        )

    def __len__(self) -> int:
        return len(self.case)

    def __repr__(self) -> str:
        return f"Detections({self.name!r}: {len(self)} in {_count(len(self.cases), 'case')})"

    @property
    def are_scored(self) -> bool:
        """Whether scores tell detections apart; False where there are several and all have the same."""
        return len(self) < 2 or bool((self.scores != self.scores[0]).any())

    def of_cases(self, names: Collection[str]) -> Detections:
        """Return the detections of some cases; the others are no longer among ``cases``."""
        kept = tuple(case for case in self.cases if case in names)
        inside = self.select(np.isin(self.case, [self.cases.index(case) for case in kept]))
        place = np.array([kept.index(case) if case in names else -1 for case in self.cases], np.int32)
        return replace(inside, cases=kept, case=place[inside.case])

    def select(self, which: NDArray[Any]) -> Detections:
        """Return some of the detections: ``which`` is a mask or indices. Cases stay."""
        return replace(self, **_rows(self, which, ("case", "points_mm", "scores", "injected", "boxes_mm")))

    def renamed(self, names: Mapping[str, str]) -> Detections:
        """Return the detections with other names of cases; a case that is not in ``names`` keeps its own."""
        new = [names.get(case, case) for case in self.cases]
        cases = tuple(dict.fromkeys(new))
        place = np.array([cases.index(case) for case in new], np.int32)
        return replace(self, cases=cases, case=place[self.case])

    def aligned(self, truth: GroundTruth) -> Detections:
        """Return the detections with the cases of the truth.

        A case named by its SeriesInstanceUID gets the name that the truth knows for it. Detections in a region
        that was not annotated in their case are left out: nobody looked for nodes there. Notes say what
        was left out, and how many cases have no detection.

        Raises:
            CtlymphError: If there are detections of a case that the truth does not have; some are named.
        """
        renamed = self.renamed(truth.series)
        place = {case: number for number, case in enumerate(truth.cases)}
        if unknown := [case for case in renamed.cases if case not in place]:
            some = ", ".join(shown(case) for case in unknown[:3]) + (", …" if len(unknown) > 3 else "")
            raise CtlymphError(
                f"{shown(self.name)} has detections of {len(unknown)} cases that the truth does not have ({some}); "
                "name all annotated cases, those without nodes too, or take out the detections of the others"
            )
        numbers = np.array([place[case] for case in renamed.cases], dtype=np.int32)
        moved = replace(renamed, cases=truth.cases, case=numbers[renamed.case])
        inside = moved._in_annotated_region(truth)
        notes = list(self.notes)
        if left_out := int(np.count_nonzero(~inside)):
            what = "1 detection lies" if left_out == 1 else f"{left_out} detections lie"
            notes.append(f"{what} in a region that is not annotated in its case, and was left out")
        kept = moved.select(inside)
        if without := len(truth.cases) - len(np.unique(kept.case)):
            notes.append(f"{without} of {len(truth.cases)} cases have no detection")
        return replace(kept, notes=tuple(notes))

    def _in_annotated_region(self, truth: GroundTruth) -> Bools:
        """Return True for detections in the region annotated in their case, or where one of the two is not known."""
        if self.regions is None:
            return np.ones(len(self), dtype=bool)
        annotated = [set(regions.split(";")) for regions in truth.regions]
        pairs = zip(self.regions, self.case.tolist(), strict=True)
        inside = (not region or truth.regions[case] == "" or region in annotated[case] for region, case in pairs)
        return np.fromiter(inside, dtype=bool, count=len(self))


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class GroundTruth:
    """All true nodes, over all annotated cases; m of them.

    Attributes:
        cases: Names of all annotated cases, each once, those without nodes too: they are the volumes.
        patients: The patient of each case. Two names of one scan are of one patient.
        regions: The region that was annotated in each case, or several separated by semicolons; empty where not known.
        case: Shape m: each node's case, an index into ``cases``.
        points_mm: Shape m, 3: the node's centre, x, y, z in LPS mm.
        short_axis_mm: Shape m: NaN where not known.
        long_axis_mm: Shape m: NaN where not known.
        stations: Lymph node station of each node; empty where not known.
        ids: The node's name within its case: its row or its label.
        boxes_mm: Shape m, 2, 3: low and high corner of each node's box, LPS mm; None where there are none.
        node_regions: Region of each node, needed only where several are annotated in a case; None where not known.
        series: Names of cases by SeriesInstanceUID, as far as known.
        notes: What a reader of the results should know about how the nodes were read, a sentence each.

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
    series: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        owner = "true nodes"
        _freeze(self, owner, "case", np.int32, ())
        count = len(self.case)
        for name, shape in (("points_mm", (3,)), ("short_axis_mm", ()), ("long_axis_mm", ()), ("boxes_mm", (2, 3))):
            if name != "boxes_mm" or self.boxes_mm is not None:
                _freeze(self, owner, name, np.float64, shape, count)
        for name, length in (("patients", len(self.cases)), ("regions", len(self.cases))):
            _check_length(owner, name, getattr(self, name), length)
        for name in ("stations", "ids", "node_regions"):
            if getattr(self, name) is not None:
                _check_length(owner, name, getattr(self, name), count)
        _check_cases(owner, self.cases, self.case)
        _check_finite(self, owner, ("points_mm",))
        _check_boxes(self, owner)
        self._check_axes()
        if twice := _first_duplicate(zip(self.case.tolist(), self.ids, strict=True)):
            raise CtlymphError(f"{self.cases[twice[0]]}: two nodes are named {shown(twice[1])}; number them apart")

    @classmethod
    def from_points(
        cls, points_mm: Mapping[str, ArrayLike], short_axis_mm: Mapping[str, ArrayLike] | float | None = None
    ) -> GroundTruth:
        """Return true nodes from points by case, each case being of a patient of its own.

        Args:
            points_mm: By name of case, shape k, 3: x, y, z in LPS mm; k may be 0: a case without nodes.
            short_axis_mm: By name of case, shape k; or one for all; None: not known.

        Example:
            >>> GroundTruth.from_points({"scan 1": [(10, 20, 30)], "scan 2": []}, short_axis_mm=12.0)
            GroundTruth(1 node in 2 cases of 2 patients)
        """
        by_case = short_axis_mm if isinstance(short_axis_mm, Mapping) else dict.fromkeys(points_mm, short_axis_mm)
        return cls.concatenate(
            cls.of_case(case, points, short_axis_mm=by_case[case]) for case, points in points_mm.items()
        )

    @classmethod
    def of_case(
        cls,
        case: str,
        points_mm: ArrayLike,
        *,
        patient: str = "",
        region: str = "",
        short_axis_mm: ArrayLike | None = None,
        long_axis_mm: ArrayLike | None = None,
        ids: Sequence[str] | None = None,
        stations: Sequence[str] | None = None,
        **known: Any,
    ) -> GroundTruth:
        """Return the true nodes of one case.

        Args:
            case: Its name.
            points_mm: Shape k, 3: x, y, z in LPS mm.
            patient: Default: the name of the case.
            region: What was annotated; empty: not known.
            short_axis_mm: Shape k, or one for all; None: not known.
            long_axis_mm: Likewise.
            ids: Names of the nodes; default: numbers from 1.
            stations: Their stations; default: not known.
            **known: Other attributes of this class.
        """
        points = np.asarray(points_mm, np.float64).reshape(-1, 3)
        count = len(points)
        short, long = (
            np.full(count, np.nan if axis is None else axis, np.float64) for axis in (short_axis_mm, long_axis_mm)
        )
        return cls(
            cases=(case,),
            patients=(patient or case,),
            regions=(region,),
            case=np.zeros(count, np.int32),
            points_mm=points,
            short_axis_mm=short,
            long_axis_mm=long,
            stations=("",) * count if stations is None else tuple(stations),
            ids=tuple(str(number) for number in range(1, count + 1)) if ids is None else tuple(ids),
            **known,
        )

    @classmethod
    def concatenate(cls, parts: Iterable[GroundTruth]) -> GroundTruth:
        """Return the nodes of all parts; boxes are kept if all parts with nodes have them.

        Raises:
            CtlymphError: If two parts hold the same case.
        """
        found = list(parts)
        filled = [part for part in found if len(part)]
        has_regions = any(part.node_regions is not None for part in filled)
        return cls(
            cases=_joined_texts(part.cases for part in found),
            patients=_joined_texts(part.patients for part in found),
            regions=_joined_texts(part.regions for part in found),
            case=_joined_cases(found),
            points_mm=np.concatenate([np.empty((0, 3)), *(part.points_mm for part in found)]),
            short_axis_mm=np.concatenate([np.empty(0), *(part.short_axis_mm for part in found)]),
            long_axis_mm=np.concatenate([np.empty(0), *(part.long_axis_mm for part in found)]),
            stations=_joined_texts(part.stations for part in found),
            ids=_joined_texts(part.ids for part in found),
            boxes_mm=_joined_boxes(filled),
            node_regions=_joined_texts(part.node_regions or ("",) * len(part) for part in filled)
            if has_regions
            else None,
            series={uid: case for part in found for uid, case in part.series.items()},
            notes=tuple(dict.fromkeys(note for part in found for note in part.notes)),
        )

    def __len__(self) -> int:
        return len(self.case)

    def __repr__(self) -> str:
        patients = _count(len(set(self.patients)), "patient")
        return f"GroundTruth({_count(len(self), 'node')} in {_count(len(self.cases), 'case')} of {patients})"

    def annotated_in(self, region: str) -> Bools:
        """Return, for each case, whether this region was annotated."""
        return np.array([region in regions.split(";") for regions in self.regions], bool)

    def nodes_in(self, region: str) -> Bools:
        """Return, for each node, whether it is of this region; a node that does not say is of those of its case."""
        inside: Bools = self.annotated_in(region)[self.case]
        if self.node_regions is None:
            return inside
        named: Bools = np.array([each in ("", region) for each in self.node_regions], bool)
        return inside & named

    def of_region(self, region: str) -> GroundTruth:
        """Return the cases in which a region was annotated, and their nodes there.

        Raises:
            CtlymphError: If there is none.
        """
        kept = np.flatnonzero(self.annotated_in(region))
        if not len(kept):
            known = ", ".join(sorted({each or "not known" for each in self.regions}))
            raise CtlymphError(f"the {region} was annotated in no case (annotated: {known}); leave the region out")
        place = np.full(len(self.cases), -1, np.int32)
        place[kept] = np.arange(len(kept))
        rows = _rows(self, self.nodes_in(region), ("case", "points_mm", "short_axis_mm", "long_axis_mm", "boxes_mm"))
        return replace(
            self,
            **rows | {"case": place[rows["case"]]},
            cases=tuple(self.cases[number] for number in kept),
            patients=tuple(self.patients[number] for number in kept),
            regions=(region,) * len(kept),
        )

    def with_series(self, series: Mapping[str, str]) -> GroundTruth:
        """Return the truth with further names of cases by SeriesInstanceUID.

        A case of the truth that is itself named by its SeriesInstanceUID gets the name of its case.
        """
        names = tuple(series.get(case, case) for case in self.cases)
        patients = tuple(series.get(patient, patient) for patient in self.patients)
        return replace(self, cases=names, patients=patients, series={**self.series, **series})

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


def _rows(owner: Detections | GroundTruth, which: NDArray[Any], arrays: Collection[str]) -> dict[str, Any]:
    """Return the chosen rows of those fields that have one entry a mark or node."""
    rows = np.flatnonzero(which) if which.dtype == np.bool_ else which
    texts = ("regions", "node_ids") if isinstance(owner, Detections) else ("stations", "ids", "node_regions")
    chosen: dict[str, Any] = {}
    for name in (each.name for each in fields(owner)):
        value = getattr(owner, name)
        if name in arrays:
            chosen[name] = None if value is None else value[rows]
        elif name in texts:
            chosen[name] = None if value is None else tuple(value[row] for row in rows)
    return chosen


def _joined_cases(parts: Sequence[Detections | GroundTruth]) -> Ints:
    starts = np.cumsum([0, *(len(part.cases) for part in parts)])[:-1]
    numbers = [part.case + start for part, start in zip(parts, starts, strict=True)]
    return np.concatenate([np.empty(0, np.int32), *numbers]).astype(np.int32)


def _joined_boxes(parts: Sequence[Detections | GroundTruth]) -> Floats | None:
    boxes = [part.boxes_mm for part in parts if part.boxes_mm is not None]
    return np.concatenate(boxes) if boxes and len(boxes) == len(parts) else None


def _joined_texts(parts: Iterable[Sequence[str]]) -> tuple[str, ...]:
    return tuple(text for part in parts for text in part)


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")


def _freeze(
    owner: object, of_whom: str, name: str, kind: type, shape: tuple[int, ...], count: int | None = None
) -> None:
    """Make a field a read-only array of its kind, and check its shape."""
    given = np.asarray(getattr(owner, name))
    if given.size == 0 and given.ndim == 1:
        given = given.reshape(0, *shape)
    expected = (len(given) if count is None and given.ndim else count or 0, *shape)
    if given.shape != expected:
        raise ValueError(f"{of_whom}: {name} has shape {given.shape}, expected {expected}")
    array: NDArray[Any] = given.astype(kind, copy=False).view()
    array.flags.writeable = False
    object.__setattr__(owner, name, array)


def _check_length(of_whom: str, name: str, given: tuple[str, ...], expected: int) -> None:
    if len(given) != expected:
        raise ValueError(f"{of_whom}: {name} has length {len(given)}, expected {expected}")


def _check_cases(of_whom: str, cases: tuple[str, ...], case: Ints) -> None:
    if len(case) and not (case.min() >= 0 and case.max() < len(cases)):
        raise ValueError(f"{of_whom}: case holds {case.min()} to {case.max()}, expected 0 to {len(cases) - 1}")
    if twice := _first_duplicate(cases):
        raise CtlymphError(f"{of_whom}: two cases are named {shown(twice)}; name them apart")


def _check_finite(owner: Detections | GroundTruth, of_whom: str, names: tuple[str, ...]) -> None:
    for name in names:
        array = getattr(owner, name)
        if not np.isfinite(array).all():
            row = int(np.argwhere(~np.isfinite(array))[0, 0])
            raise CtlymphError(
                f"{of_whom}: {name} of {owner.cases[owner.case[row]]} holds {array[row]}; give finite numbers"
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


def _first_duplicate(names: Iterable[Any]) -> Any:
    """Return the first name that comes a second time, or None."""
    seen = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None
