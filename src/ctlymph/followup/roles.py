"""``targets.csv``: what each baseline node is to RECIST, for a person to change and to give back."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from ctlymph.core.errors import CtlymphError, shown
from ctlymph.core.nodes import LymphNode
from ctlymph.followup.course import Role

COLUMNS = ("node", "role", "short_axis_mm", "x_mm", "y_mm", "z_mm", "station")
"""The first two are read back; the others tell a person which node it is."""

MOST_TARGETS = 5
"""Of all organs together (Eisenhauer et al., Eur J Cancer 2009;45:228)."""
SMALLEST_TARGET_MM = 10.0
"""Below it a node is normal (Schwartz et al., ibid. 261) and cannot respond."""

_WORDS = ", ".join(role.value for role in Role)
_REMEDY = "give a targets.csv as ctlymph writes it"


def write_roles(path: Path, nodes: Iterable[LymphNode], roles: Mapping[int, Role]) -> None:
    """Write the roles of the baseline's nodes: UTF-8, commas, a header of :data:`COLUMNS`; points are LPS mm.

    Raises:
        KeyError: If a node has no role.
    """
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for node in nodes:
            place = (f"{each:.1f}" for each in node.point_mm)
            short = f"{node.sizes.short_axis.length_mm:.2f}"
            writer.writerow([node.node, roles[node.node].value, short, *place, node.station])


def read_roles(path: Path, nodes: Sequence[LymphNode]) -> dict[int, Role]:
    """Read the roles of the baseline's nodes; columns other than ``node`` and ``role`` are not looked at.

    Up to five targets are taken, though RECIST allows two an organ and all nodes are one: trials may want more. Nothing
    is guessed: every node must have its line.

    Raises:
        CtlymphError: If the file cannot be read, a node is unknown, missing or named twice, a role is none of
            :class:`~ctlymph.followup.course.Role`, a target has less than 10 mm, or there are more than five.
    """
    roles: dict[int, Role] = {}
    known = {str(node.node): node for node in nodes}
    for line, number, word in _lines(path):
        if number not in known:
            raise CtlymphError(f"{path}, line {line}: the baseline has no node {shown(number)!r}; remove the line")
        if word not in set(Role):
            raise CtlymphError(f"{path}, line {line}: {shown(word)!r} is no role; write one of {_WORDS}")
        node = known[number]
        if node.node in roles:
            raise CtlymphError(f"{path}, line {line}: node {number} has a role already; remove one of the lines")
        if word == Role.TARGET:
            _check_size(f"{path}, line {line}", node)
        roles[node.node] = Role(word)
    _check_all(path, roles, nodes)
    return roles


def _lines(path: Path) -> list[tuple[int, str, str]]:
    """Give the line, the node's number and the role of each row, as texts."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            missing = [name for name in COLUMNS[:2] if name not in (reader.fieldnames or ())]
            if missing:
                raise CtlymphError(f"{path} has no column {' and no column '.join(missing)}; {_REMEDY}")
            return [(reader.line_num, (row["node"] or "").strip(), (row["role"] or "").strip()) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CtlymphError(f"cannot read {path}: {shown(error)}; {_REMEDY}") from error


def _check_size(place: str, node: LymphNode) -> None:
    short_mm = node.sizes.short_axis.length_mm
    if short_mm < SMALLEST_TARGET_MM - 1e-6:
        raise CtlymphError(
            f"{place}: node {node.node} has a short axis of {short_mm:.2f} mm, and targets need 10 mm at the least "
            "(RECIST 15 mm); give it another role"
        )


def _check_all(path: Path, roles: Mapping[int, Role], nodes: Sequence[LymphNode]) -> None:
    without = [str(node.node) for node in nodes if node.node not in roles]
    if without:
        raise CtlymphError(f"{path} has no role for node {', '.join(without)} of the baseline; add a line for each")
    targets = Counter(roles.values())[Role.TARGET]
    if targets > MOST_TARGETS:
        raise CtlymphError(f"{path} names {targets} targets, and RECIST allows {MOST_TARGETS}; give some another role")
