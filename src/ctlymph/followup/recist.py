"""RECIST 1.1 for lymph nodes: which are targets, and the response at each visit.

The rules are those of Eisenhauer et al., Eur J Cancer 2009;45:228, for nodes Schwartz et al., ibid. 261. Where they
leave open what a program should do, the function that makes the choice states it, and so does ``docs/recist.md``.

In reasons and remarks the number after *target*, *non-target* or *normal node* is the baseline's, the number after
*node* that of the visit in question.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from ctlymph.core.nodes import LymphNode
from ctlymph.followup.course import Assessment, Category, Course, NodeRef, Response, Role

TARGET_MM = 15.0
"""Short axis from which on a node can be a target (Schwartz 2009)."""
PATHOLOGIC_MM = 10.0
"""Short axis from which on a node is not normal (Schwartz 2009)."""
TARGETS_AN_ORGAN = 2
"""All nodes are one organ (Eisenhauer 2009; the EORTC's answers to frequent questions)."""
TOO_SMALL_MM = 5.0
"""Length that a target which is visible, but too small to measure, adds to the sum (Eisenhauer 2009)."""
RESPONSE = 0.30
"""Share by which the sum is below the baseline's in partial response."""
PROGRESSION, PROGRESSION_MM = 0.20, 5.0
"""Share and length by which the sum is above the lowest before in progression; both are needed."""

_NOISE_MM = 1e-6
"""Lengths closer than this are equal: 0.1 + 0.2 is not 0.3 to a computer."""
_FOLLOWED = (Role.TARGET, Role.NON_TARGET)


def choose_roles(nodes: Sequence[LymphNode]) -> dict[int, Role]:
    """Return the role of each baseline node by its short axis: the two largest of 15 mm and more are targets.

    Others of 10 mm and more are non-targets, the rest is normal. Of two equal nodes the one with the lower number is
    the target. RECIST asks for targets that can be measured repeatedly, which only a person can judge.

    Returns:
        Roles by the nodes' numbers, in the order of ``nodes``.
    """
    largest = sorted(nodes, key=lambda node: (-_short_mm(node), node.node))[:TARGETS_AN_ORGAN]
    targets = {node.node for node in largest if _reaches(_short_mm(node), TARGET_MM)}
    return {node.node: _role(node, targets) for node in nodes}


def assess_response(course: Course, roles: Mapping[int, Role] | None = None) -> Response:
    """Assess every visit of a course by RECIST 1.1.

    Args:
        course: Baseline and follow-ups.
        roles: Of all nodes of the baseline, where a person has chosen them; otherwise :func:`choose_roles`.

    Raises:
        ValueError: If the course has no visit, or ``roles`` do not name the baseline's nodes and no others.
    """
    if not course.visits:
        raise ValueError("the course has no visit")
    baseline = course.visits[0].nodes
    given = choose_roles(baseline) if roles is None else dict(roles)
    if set(given) != {node.node for node in baseline}:
        raise ValueError("the roles must be those of the baseline's nodes")
    descent = _Descent(course, given)
    assessments = [_baseline(descent)]
    for visit in range(1, len(course.visits)):
        assessments.append(_assessment(descent, visit, assessments))
    return Response(given, tuple(assessments))


def hypothetical_mm(volume_mm3: float) -> float:
    """Return the diameter, mm, of the ball of a volume, mm³: a size that merging and splitting do not change.

    Shafiei et al., Radiol Imaging Cancer 2021;3:e200090, compare RECIST with it where nodes merge or split.
    """
    return 2 * math.cbrt(3 * volume_mm3 / (4 * math.pi))


@dataclass(frozen=True)
class _Descent:
    """What the baseline's nodes became, and which nodes the others came from."""

    course: Course
    roles: Mapping[int, Role]

    @cached_property
    def targets(self) -> tuple[int, ...]:
        """The targets, largest first."""
        found = [number for number, role in self.roles.items() if role is Role.TARGET]
        return tuple(sorted(found, key=lambda number: (-self.short_mm((0, number)), number)))

    @cached_property
    def non_targets(self) -> tuple[int, ...]:
        return tuple(sorted(number for number, role in self.roles.items() if role is Role.NON_TARGET))

    def name(self, ref: NodeRef) -> str:
        """Name a node without parents."""
        visit, number = ref
        if visit > 0:
            return "a node that was new"
        role = self.roles[number]
        return f"{role} {number}" if role in _FOLLOWED else f"{role} node {number}"

    def short_mm(self, ref: NodeRef) -> float:
        return _short_mm(self.course.node(ref))

    def is_pathologic(self, ref: NodeRef) -> bool:
        return _reaches(self.short_mm(ref), PATHOLOGIC_MM)

    def descendants(self, number: int, visit: int) -> tuple[NodeRef, ...]:
        return self.course.descendants((0, number), visit)

    def largest_mm(self, number: int, visit: int) -> float:
        """Return the largest short axis of what a baseline node became; 0 if it vanished."""
        return max((self.short_mm(descendant) for descendant in self.descendants(number, visit)), default=0.0)

    def smallest_mm(self, number: int, visit: int) -> float:
        """Return the lowest :meth:`largest_mm` of the visits before."""
        return min(self.largest_mm(number, before) for before in range(visit))

    def is_there(self, number: int, visit: int) -> bool:
        """Return whether a baseline node counts; once it has vanished, it is back only with 10 mm or more."""
        if visit == 0:
            return True
        size_mm = self.largest_mm(number, visit)
        return size_mm > 0 and (_reaches(size_mm, PATHOLOGIC_MM) or self.is_there(number, visit - 1))

    def counted(self, visit: int) -> dict[int, tuple[NodeRef, ...]]:
        """Return by target the nodes that count for it; a merged node counts for the largest target in it."""
        taken: dict[NodeRef, int] = {}
        for target in self.targets:
            for descendant in self.descendants(target, visit) if self.is_there(target, visit) else ():
                taken.setdefault(descendant, target)
        return {
            target: tuple(descendant for descendant, by in taken.items() if by == target) for target in self.targets
        }

    def adds_mm(self, visit: int) -> dict[int, float]:
        """Return by target what it adds to the sum: the short axes of what it became, and at least 5 mm if it is there.

        A mask has a short axis however small it is, so that nothing is "too small to measure" here. Below 5 mm the
        length is unreliable, and RECIST's 5 mm take its place.
        """
        return {
            target: max(TOO_SMALL_MM, sum(self.short_mm(descendant) for descendant in descendants))
            if descendants
            else 0.0
            for target, descendants in self.counted(visit).items()
        }

    def volume_mm3(self, visit: int) -> float:
        """Return the volume of what :meth:`counted` returns, mm³."""
        descendants = (descendant for each in self.counted(visit).values() for descendant in each)
        return float(sum(self.course.node(descendant).sizes.volume_mm3 for descendant in descendants))

    def ancestors(self, ref: NodeRef) -> set[NodeRef]:
        """Return the nodes that one came from, over any number of visits."""
        parents = self.course.parents.get(ref, ())
        return set(parents).union(*(self.ancestors(parent) for parent in parents))

    def is_followed(self, ref: NodeRef) -> bool:
        """Return whether a node came from a target or a non-target."""
        return any(self._role_of(origin) in _FOLLOWED for origin in self.course.origins(ref))

    def is_left_out(self, ref: NodeRef) -> bool:
        """Return whether a person left out all nodes that a node came from."""
        return all(self._role_of(origin) is Role.LEFT_OUT for origin in self.course.origins(ref))

    def _role_of(self, ref: NodeRef) -> Role | None:
        return self.roles[ref[1]] if ref[0] == 0 else None

    def was_mm(self, ref: NodeRef) -> float | None:
        """Return the smallest size that a node had: the minimum, over earlier visits, of the largest node it came from.

        None if it has no parents. Visits at which it was not found do not count: small normal nodes are overlooked.
        """
        by_visit: dict[int, float] = {}
        for before in self.ancestors(ref):
            by_visit[before[0]] = max(by_visit.get(before[0], 0.0), self.short_mm(before))
        return min(by_visit.values(), default=None)

    def is_new(self, ref: NodeRef) -> bool:
        """Return whether a node counts as a new lesion.

        It has 10 mm or more, came from no target or non-target, and has no parents, or came from a new lesion, or has
        grown by 5 mm or more. So a normal node that grows from 9.8 to 10.1 mm is no progression.
        """
        if ref[0] == 0 or not self.is_pathologic(ref) or self.is_followed(ref) or self.is_left_out(ref):
            return False
        was_mm = self.was_mm(ref)
        if was_mm is None or _reaches(self.short_mm(ref), was_mm + PROGRESSION_MM):
            return True
        return any(self.is_new(before) for before in self.ancestors(ref))

    def of(self, visit: int) -> list[NodeRef]:
        """Return the nodes of a visit, in the order of their numbers."""
        return sorted((visit, node.node) for node in self.course.visits[visit].nodes)


@dataclass(frozen=True)
class _Sums:
    """A sum of diameters, mm, and the sums that it is compared with."""

    name: str
    now_mm: float
    baseline_mm: float
    nadir_mm: float

    @property
    def is_progression(self) -> bool:
        return _has_grown(self.now_mm, self.nadir_mm)

    @property
    def is_response(self) -> bool:
        return _reaches((1 - RESPONSE) * self.baseline_mm, self.now_mm)

    def progression(self) -> str:
        rise_mm = self.now_mm - self.nadir_mm
        share = f"{_percent(rise_mm, self.nadir_mm, PROGRESSION)} % and " if self.nadir_mm > 0 else ""
        return (
            f"{self.name} {self.now_mm:.1f} mm, {share}{_figure(rise_mm, PROGRESSION_MM, 1)} mm above the lowest "
            f"before, {self.nadir_mm:.1f} mm (20 % and 5 mm or more: progression)"
        )

    def response(self) -> str:
        fall = _percent(self.baseline_mm - self.now_mm, self.baseline_mm, RESPONSE)
        return (
            f"{self.name} {self.now_mm:.1f} mm, {fall} % below the baseline's {self.baseline_mm:.1f} mm "
            "(30 % or more: partial response)"
        )

    def stable(self) -> str:
        change_mm = self.now_mm - self.baseline_mm
        way = "above" if change_mm > 0 else "below"
        change = _percent(abs(change_mm), self.baseline_mm, RESPONSE)
        rise_mm = self.now_mm - self.nadir_mm
        rise = f"{_figure(rise_mm, PROGRESSION_MM, 1)} mm" if rise_mm > 0 else "not"
        if rise_mm > 0 and self.nadir_mm > 0:
            rise = f"{_percent(rise_mm, self.nadir_mm, PROGRESSION)} % or {rise}"
        return (
            f"{self.name} {self.now_mm:.1f} mm, {change} % {way} the baseline's {self.baseline_mm:.1f} mm and {rise} "
            "above the lowest before (neither partial response nor progression: stable)"
        )


def _baseline(descent: _Descent) -> Assessment:
    sum_mm = sum(descent.adds_mm(0).values())
    volume_mm3 = descent.volume_mm3(0)
    targets, others = len(descent.targets), len(descent.non_targets)
    reason = f"{_count(targets, 'target')}, sum {sum_mm:.1f} mm; {_count(others, 'non-target')}"
    return Assessment(
        visit=0,
        adds_mm=descent.adds_mm(0),
        counted=_numbers(descent.counted(0)),
        sum_mm=sum_mm,
        nadir_mm=sum_mm,
        new=(),
        category=None,
        reasons=(reason,),
        remarks=tuple(_roles_remarks(descent)),
        volume_mm3=volume_mm3,
        hypothetical_mm=hypothetical_mm(volume_mm3),
        by_volume=None,
    )


def _assessment(descent: _Descent, visit: int, before: Sequence[Assessment]) -> Assessment:
    adds_mm, volume_mm3 = descent.adds_mm(visit), descent.volume_mm3(visit)
    sums = _Sums("sum", sum(adds_mm.values()), before[0].sum_mm, min(each.sum_mm for each in before))
    balls = [each.hypothetical_mm for each in before]
    ball = _Sums("hypothetical diameter", hypothetical_mm(volume_mm3), balls[0], min(balls))
    new = [ref for ref in descent.of(visit) if descent.is_new(ref)]
    after_complete = any(each.category == "CR" for each in before)
    lesions = [_new_lesion(descent, ref) for ref in new] + (_recurrences(descent, visit) if after_complete else [])
    category, reasons = _category(descent, visit, sums, lesions)
    by_volume, because = _category(descent, visit, ball, lesions)
    remarks = [*_new_remarks(descent, new), *_targets_remarks(descent, visit), *_normal_remarks(descent, visit)]
    if not after_complete:
        remarks += _non_targets_remarks(descent, visit)
    if category == "PD" and not lesions and _all_normal(descent, visit, _FOLLOWED):
        remarks.append("every node is below 10 mm and so normal: a person must judge whether this is progression")
    if by_volume != category:
        remarks.append(f"by the volume it would be {by_volume}, not {category}: {'; '.join(because)}")
    return Assessment(
        visit=visit,
        adds_mm=adds_mm,
        counted=_numbers(descent.counted(visit)),
        sum_mm=sums.now_mm,
        nadir_mm=sums.nadir_mm,
        new=tuple(number for _, number in new),
        category=category,
        reasons=reasons,
        remarks=tuple(remarks),
        volume_mm3=volume_mm3,
        hypothetical_mm=ball.now_mm,
        by_volume=by_volume,
    )


def _category(descent: _Descent, visit: int, sums: _Sums, lesions: Sequence[str]) -> tuple[Category, tuple[str, ...]]:
    """Return the category and the reasons: progression comes first, then complete response, then the others."""
    progression = [sums.progression()] if descent.targets and sums.is_progression else []
    if progression or lesions:
        return "PD", (*progression, *lesions)
    if not descent.targets and not descent.non_targets:
        return "NE", ("no node of 10 mm or more to follow at the baseline, and none is new",)
    if _all_normal(descent, visit, _FOLLOWED):
        return "CR", ("every target and non-target is gone or below 10 mm, and nothing is new: complete response",)
    if not descent.targets:
        return "non-CR/non-PD", ("there is no target, not every non-target is below 10 mm, and nothing is new",)
    if sums.is_response:
        return "PR", (sums.response(),)
    if _all_normal(descent, visit, (Role.TARGET,)):  # Eisenhauer 2009, Table 1
        return "PR", ("every target is gone or below 10 mm, but not every non-target: partial response",)
    return "SD", (sums.stable(),)


def _all_normal(descent: _Descent, visit: int, roles: Iterable[Role]) -> bool:
    """Return whether what the baseline's nodes of some roles became is below 10 mm, or gone."""
    followed = [number for number, role in descent.roles.items() if role in roles]
    return not any(
        descent.is_pathologic(descendant) for number in followed for descendant in descent.descendants(number, visit)
    )


def _new_lesion(descent: _Descent, ref: NodeRef) -> str:
    size = f"node {ref[1]} of {descent.short_mm(ref):.1f} mm"
    was_mm = descent.was_mm(ref)
    if was_mm is None:
        return f"{size} is new (10 mm or more: progression)"
    if any(descent.is_new(before) for before in descent.ancestors(ref)):
        return f"{size} was a new lesion before and is still there (10 mm or more: progression)"
    return f"{size} had {was_mm:.1f} mm and counts as new (normal before, grown by 5 mm or more: progression)"


def _new_remarks(descent: _Descent, new: Sequence[NodeRef]) -> Iterable[str]:
    """Name new lesions that a detector found: it may mark what is no node, and may have missed it before."""
    marked = [f"{ref[1]}" for ref in new if descent.course.node(ref).model]
    if marked:
        yield (
            f"a detector marked {_numbered('new node', marked)}: check whether it is a node, and was not there before"
        )


def _recurrences(descent: _Descent, visit: int) -> list[str]:
    """Return what is back after a complete response: any disease then is progression (Eisenhauer 2009, Table 3).

    A node is disease again with 10 mm or more if that is 5 mm or more above its smallest, as normal nodes are.
    """
    found = []
    for number in (*descent.targets, *descent.non_targets):
        size_mm, was_mm = descent.largest_mm(number, visit), descent.smallest_mm(number, visit)
        if _reaches(size_mm, PATHOLOGIC_MM) and _reaches(size_mm, was_mm + PROGRESSION_MM):
            before = f"had {was_mm:.1f} mm" if was_mm > 0 else "had vanished"
            name = descent.name((0, number))
            found.append(f"{name} {before} and is back with {size_mm:.1f} mm after complete response: progression")
    return found


def _roles_remarks(descent: _Descent) -> Iterable[str]:
    """Name roles that a person chose otherwise than RECIST does."""
    if len(descent.targets) > TARGETS_AN_ORGAN:
        yield f"{len(descent.targets)} targets were chosen; RECIST allows two an organ, and all nodes are one organ"
    for number, role in sorted(descent.roles.items()):
        short_mm = descent.short_mm((0, number))
        if role is Role.TARGET and not _reaches(short_mm, TARGET_MM):
            yield f"target {number} has {_figure(short_mm, TARGET_MM, 1)} mm; RECIST's targets have 15 mm or more"
        if role is Role.NON_TARGET and not _reaches(short_mm, PATHOLOGIC_MM):
            yield f"non-target {number} has {_figure(short_mm, PATHOLOGIC_MM, 1)} mm; below 10 mm a node is normal"
        if role is Role.NORMAL and _reaches(short_mm, PATHOLOGIC_MM):
            yield f"normal node {number} has {short_mm:.1f} mm; from 10 mm on a node is not normal to RECIST"


def _targets_remarks(descent: _Descent, visit: int) -> Iterable[str]:
    counted = descent.counted(visit)
    for target in descent.targets:
        descendants, mine = descent.descendants(target, visit), counted[target]
        size_mm = sum(descent.short_mm(descendant) for descendant in mine)
        if not descendants:
            yield f"target {target} was not found and adds 0 mm: check whether it is gone"
        elif not descent.is_there(target, visit):
            size = _figure(descent.largest_mm(target, visit), PATHOLOGIC_MM, 1)
            yield f"target {target} had vanished; with {size} mm it is not back (below 10 mm) and adds 0 mm"
        elif mine and size_mm < TOO_SMALL_MM - _NOISE_MM:
            left = _figure(size_mm, TOO_SMALL_MM, 1)
            yield f"target {target} has {left} mm left and adds 5 mm (too small to measure)"
        if len(mine) > 1:
            names = _list([f"{descendant[1]}" for descendant in mine])
            yield f"target {target} has split into nodes {names}: the sum of their short axes counts, {size_mm:.1f} mm"
        for descendant in mine:
            yield from _merging_remarks(descent, target, descendant)


def _merging_remarks(descent: _Descent, target: int, descendant: NodeRef) -> Iterable[str]:
    origins = [origin for origin in descent.course.origins(descendant) if origin != (0, target)]
    if origins:
        names = _list([descent.name(origin) for origin in origins])
        yield (
            f"target {target} has merged with {names} into node {descendant[1]}: "
            f"its short axis of {descent.short_mm(descendant):.1f} mm counts once, for target {target}"
        )


def _non_targets_remarks(descent: _Descent, visit: int) -> Iterable[str]:
    """Name non-targets that were not found, are back, or grew by 20 % and 5 mm; not those merged into targets."""
    counted = {descendant for descendants in descent.counted(visit).values() for descendant in descendants}
    gone, back, grown = [], [], []
    for number in descent.non_targets:
        now_mm, *before_mm = (descent.largest_mm(number, each) for each in range(visit, -1, -1))
        if not now_mm:
            gone.append(f"{number}")
        elif not counted.isdisjoint(descent.descendants(number, visit)) or not _reaches(now_mm, PATHOLOGIC_MM):
            continue
        elif not before_mm[0]:
            back.append(f"{number} ({now_mm:.1f} mm)")
        elif _has_grown(now_mm, smallest_mm := min(filter(None, before_mm))):
            grown.append(f"{number} ({smallest_mm:.1f} to {now_mm:.1f} mm)")
    judge = "a person must judge whether this is unequivocal progression"
    if gone:
        yield f"not found: {_numbered('non-target', gone)}; check whether this is so"
    if back:
        yield f"back, after not being found at the visit before: {_numbered('non-target', back)}; {judge}"
    if grown:
        yield f"grown by 20 % and 5 mm or more: {_numbered('non-target', grown)}; {judge}"


def _normal_remarks(descent: _Descent, visit: int) -> Iterable[str]:
    """Name normal nodes that have reached 10 mm without counting as new."""
    grown = []
    for ref in descent.of(visit):
        known = descent.is_followed(ref) or descent.is_left_out(ref) or descent.is_new(ref)
        was_mm = descent.was_mm(ref)
        if not known and descent.is_pathologic(ref) and was_mm is not None and not _reaches(was_mm, PATHOLOGIC_MM):
            grown.append(f"{ref[1]} ({_figure(was_mm, PATHOLOGIC_MM, 1)} to {descent.short_mm(ref):.1f} mm)")
    if grown:
        yield (
            "normal before, now 10 mm or more, but not new, since grown by less than 5 mm: "
            f"{_numbered('node', grown)}; "
            "check this"
        )


def _role(node: LymphNode, targets: set[int]) -> Role:
    if node.node in targets:
        return Role.TARGET
    return Role.NON_TARGET if _reaches(_short_mm(node), PATHOLOGIC_MM) else Role.NORMAL


def _short_mm(node: LymphNode) -> float:
    return node.sizes.short_axis.length_mm


def _reaches(value: float, limit: float) -> bool:
    return value >= limit - _NOISE_MM


def _has_grown(now_mm: float, before_mm: float) -> bool:
    """Return whether a length has grown as RECIST asks of progression: by 20 % and by 5 mm."""
    return _reaches(now_mm, (1 + PROGRESSION) * before_mm) and _reaches(now_mm, before_mm + PROGRESSION_MM)


def _numbers(refs: Mapping[int, Sequence[NodeRef]]) -> dict[int, tuple[int, ...]]:
    return {target: tuple(number for _, number in descendants) for target, descendants in refs.items()}


def _figure(value: float, limit: float, decimals: int) -> str:
    """Return a number with as many decimals, at most six, as show on which side of a limit it lies."""
    while decimals < 6 and _reaches(round(value, decimals), limit) != _reaches(value, limit):
        decimals += 1
    return f"{value:.{decimals}f}"


def _percent(part: float, whole: float, limit: float) -> str:
    return _figure(100 * part / whole, 100 * limit, 0)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _numbered(noun: str, words: Sequence[str]) -> str:
    return f"{noun if len(words) == 1 else noun + 's'} {_list(words)}"


def _list(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
