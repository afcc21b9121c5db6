"""MITK point sets (``.mps``), the format of the nodes in the public collection."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from ctlymph.core.errors import CtlymphError
from ctlymph.core.nodes import Point


def write_point_set(path: Path, points_mm: Iterable[Point]) -> None:
    """Write LPS points as one MITK point set, with enough digits to read back the same numbers.

    >>> write_point_set(Path("nodes.mps"), [(1.5, -20.25, 300.0)])
    >>> read_point_set(Path("nodes.mps"))
    [(1.5, -20.25, 300.0)]
    """
    root = ElementTree.Element("point_set_file")
    ElementTree.SubElement(root, "file_version").text = "0.1"
    series = ElementTree.SubElement(ElementTree.SubElement(root, "point_set"), "time_series")
    ElementTree.SubElement(series, "time_series_id").text = "0"
    for number, point_mm in enumerate(points_mm):
        point = ElementTree.SubElement(series, "point")
        ElementTree.SubElement(point, "id").text = str(number)
        ElementTree.SubElement(point, "specification").text = "0"
        for name, value in zip("xyz", point_mm, strict=True):
            ElementTree.SubElement(point, name).text = repr(float(value))
    ElementTree.indent(root)
    with path.open("wb") as file:  # opened by name, the file would have other line ends on Windows
        ElementTree.ElementTree(root).write(file, encoding="UTF-8", xml_declaration=True)


def read_point_set(path: Path) -> list[Point]:
    """Read the points of an MITK point set, LPS mm, in the order of the file.

    Points of several sets or time steps are concatenated. The index-to-world
    transform of a ``Geometry3D`` is applied if there is one. An empty file, which
    the public collection has for cases without points, contains no points.

    Raises:
        CtlymphError: If the file cannot be read, is not a point set, declares a
            document type (which can make an XML parser use too much memory, or
            read other files), or a coordinate is missing or not a finite number.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CtlymphError(f"cannot read {path}: {error.strerror}; give a MITK point set (.mps)") from error
    return parse_point_set(content, str(path))


def parse_point_set(content: bytes, name: str) -> list[Point]:
    """Read the points of an MITK point set from its bytes, as :func:`read_point_set` does.

    Args:
        content: The bytes of the file.
        name: Its name in error messages.

    Raises:
        CtlymphError: As :func:`read_point_set`.
    """
    if not content:
        return []
    try:
        root = ElementTree.fromstring(content, ElementTree.XMLParser(target=_NoDoctype()))
    except (ElementTree.ParseError, _DoctypeError) as error:
        raise CtlymphError(f"cannot read {name}: {error}; give a MITK point set (.mps)") from error
    if root.tag != "point_set_file":
        raise CtlymphError(f"{name} is XML of another kind ({root.tag}); give a MITK point set (.mps)")
    return list(_points(name, root))


def _points(name: str, root: ElementTree.Element) -> Iterator[Point]:
    # In old files, the points of a single time step are directly below the point set.
    for holder in root.iter():
        points = holder.findall("point") if holder.tag in ("time_series", "point_set") else []
        if not points:
            continue
        matrix, offset_mm = _index_to_world(name, holder)
        for number, point in enumerate(points):
            numbers = [_number(name, f"{axis} of point {number}", point.findtext(axis)) for axis in "xyz"]
            x, y, z = numbers if matrix is None else (float(value) for value in matrix @ numbers + offset_mm)
            yield x, y, z


def _index_to_world(name: str, holder: ElementTree.Element) -> tuple[NDArray[np.float64] | None, NDArray[np.float64]]:
    """Return the 3 × 3 matrix, or None if there is no geometry, and the offset, mm."""
    geometry = holder.find("Geometry3D")
    if geometry is None:
        return None, np.zeros(3)
    matrix, offset = geometry.find("IndexToWorld"), geometry.find("Offset")
    if matrix is None or offset is None:
        raise CtlymphError(f"{name}: its Geometry3D has no transform; save it again with MITK")
    numbers = [_number(name, f"m_{row}_{column}", matrix.get(f"m_{row}_{column}")) for row, column in np.ndindex(3, 3)]
    return np.reshape(numbers, (3, 3)), np.array([_number(name, "offset", offset.get(axis)) for axis in "xyz"])


def _number(file: str, name: str, text: str | None) -> float:
    try:
        value = float(text or "")
    except ValueError:
        value = np.nan
    if not np.isfinite(value):
        raise CtlymphError(f"{file}: {name} is {text!r}, not a finite number; correct the file")
    return value


class _DoctypeError(ValueError):
    pass


class _NoDoctype(ElementTree.TreeBuilder):
    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        raise _DoctypeError("it declares a document type, which no point set needs")
