"""``targets.csv``: the role of each baseline node by RECIST, for a person to edit and return."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from ctlymph.core.errors import CtlymphError, shown
from ctlymph.core.nodes import LymphNode
from ctlymph.followup.course import Role
from ctlymph.io.csv_table import CsvRow, read_rows, write_csv

COLUMNS = ("node", "role", "short_axis_mm", "x_mm", "y_mm", "z_mm", "station")
"""The first two are read back; the others show a person which node it is."""

MAX_TARGETS = 5
"""Of all organs together (Eisenhauer et al., Eur J Cancer 2009;45:228)."""
MIN_TARGET_MM = 10.0
"""Below it a node is normal (Schwartz et al., ibid. 261) and cannot assess_response."""

_WORDS = ", ".join(role.value for role in Role)
_REMEDY = "give a targets.csv as ctlymph writes it"


def write_roles(path: Path, nodes: Iterable[LymphNode], roles: Mapping[int, Role]) -> None:
    """Write the roles of the baseline's nodes: UTF-8, commas, a header of :data:`COLUMNS`; points are LPS mm.

    Raises:
        KeyError: If a node has no role.
    """
    write_csv(path, COLUMNS, (_values(node, roles[node.node]) for node in nodes))


def _values(node: LymphNode, role: Role) -> list[str | int]:
    place = (f"{each:.1f}" for each in node.point_mm)
    return [node.node, role.value, f"{node.sizes.short_axis.length_mm:.2f}", *place, node.station]


def read_roles(path: Path, nodes: Sequence[LymphNode]) -> dict[int, Role]:
    """Read the roles of the baseline's nodes; other columns than ``node`` and ``role`` are ignored.

    Up to five targets are accepted: RECIST allows two per organ, and all nodes are one organ, but trials may want more.
    Every node must have its line.

    Raises:
        CtlymphError: If the file cannot be read, a node is unknown, missing or named twice, a role is none of
            :class:`~ctlymph.followup.course.Role`, a target has less than 10 mm, or there are more than five.
    """
    roles: dict[int, Role] = {}
    known = {str(node.node): node for node in nodes}
    for row in read_rows(path, COLUMNS[:2], _REMEDY):
        number, word = row["node"].strip(), row["role"].strip()
        if number not in known:
            raise row.error(f"the baseline has no node {shown(number)!r}; remove the line")
        if word not in set(Role):
            raise row.error(f"{shown(word)!r} is no role; write one of {_WORDS}")
        node = known[number]
        if node.node in roles:
            raise row.error(f"node {number} has a role already; remove one of the lines")
        if word == Role.TARGET:
            _check_size(row, node)
        roles[node.node] = Role(word)
    _check_all(path, roles, nodes)
    return roles


def _check_size(row: CsvRow, node: LymphNode) -> None:
    short_mm = node.sizes.short_axis.length_mm
    if short_mm < MIN_TARGET_MM - 1e-6:
        raise row.error(
            f"node {node.node} has a short axis of {short_mm:.2f} mm, and targets need at least 10 mm "
            "(RECIST 15 mm); give it another role"
        )


def _check_all(path: Path, roles: Mapping[int, Role], nodes: Sequence[LymphNode]) -> None:
    without = [str(node.node) for node in nodes if node.node not in roles]
    if without:
        raise CtlymphError(f"{path} has no role for node {', '.join(without)} of the baseline; add a line for each")
    targets = Counter(roles.values())[Role.TARGET]
    if targets > MAX_TARGETS:
        raise CtlymphError(f"{path} names {targets} targets, and RECIST allows {MAX_TARGETS}; give some another role")
