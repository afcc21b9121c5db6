"""Points as MITK point sets (``.mps``), the format that the public collection publishes its nodes in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from ctlymph.errors import CtlymphError
from ctlymph.nodes import Point


def write_point_set(path: Path, points_mm: Iterable[Point]) -> None:
    """Write LPS points as one MITK point set; the digits suffice to read back the same doubles."""
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
    ElementTree.ElementTree(root).write(path, encoding="UTF-8", xml_declaration=True)


def read_point_set(path: Path) -> list[Point]:
    """Read the points of an MITK point set, LPS mm, in the order of the file.

    Points of several sets or time steps follow one another. The index-to-world
    transform of a ``Geometry3D`` is applied where there is one. A file of no
    bytes, as the public collection holds for cases without points, has no points.

    Raises:
        CtlymphError: If the file cannot be read, is not a point set, declares a
            document type (through which an XML file can blow up or reach for
            other files), or a coordinate is missing or not a finite number.
    """
    try:
        text = path.read_bytes()
        if not text:
            return []
        root = ElementTree.fromstring(text, ElementTree.XMLParser(target=_NoDoctype()))
    except (OSError, ElementTree.ParseError, _DoctypeError) as error:
        raise CtlymphError(f"cannot read {path}: {error}; give a MITK point set (.mps)") from error
    if root.tag != "point_set_file":
        raise CtlymphError(f"{path} is XML of another kind ({root.tag}); give a MITK point set (.mps)")
    return list(_points(path, root))


def _points(path: Path, root: ElementTree.Element) -> Iterator[Point]:
    # Old files hold the points of a single time step directly below the point set.
    for holder in root.iter():
        points = holder.findall("point") if holder.tag in ("time_series", "point_set") else []
        if not points:
            continue
        matrix, offset_mm = _index_to_world(path, holder)
        for number, point in enumerate(points):
            stored = [_number(path, f"{name} of point {number}", point.findtext(name)) for name in "xyz"]
            x, y, z = stored if matrix is None else (float(value) for value in matrix @ stored + offset_mm)
            yield x, y, z


def _index_to_world(path: Path, holder: ElementTree.Element) -> tuple[NDArray[np.float64] | None, NDArray[np.float64]]:
    """Give the 3 × 3 matrix, or None where there is no geometry, and the offset."""
    geometry = holder.find("Geometry3D")
    if geometry is None:
        return None, np.zeros(3)
    matrix, offset = geometry.find("IndexToWorld"), geometry.find("Offset")
    if matrix is None or offset is None:
        raise CtlymphError(f"{path}: its Geometry3D has no transform; save it again with MITK")
    numbers = [_number(path, f"m_{row}_{column}", matrix.get(f"m_{row}_{column}")) for row, column in np.ndindex(3, 3)]
    return np.reshape(numbers, (3, 3)), np.array([_number(path, "offset", offset.get(name)) for name in "xyz"])


def _number(path: Path, name: str, text: str | None) -> float:
    try:
        value = float(text or "")
    except ValueError:
        value = np.nan
    if not np.isfinite(value):
        raise CtlymphError(f"{path}: {name} is {text!r}, not a finite number; correct the file")
    return value


class _DoctypeError(ValueError):
    pass


class _NoDoctype(ElementTree.TreeBuilder):
    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        raise _DoctypeError("it declares a document type, which no point set needs")
