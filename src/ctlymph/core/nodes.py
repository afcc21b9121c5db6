"""Marks and lymph nodes: what detectors give, what measurement adds, what files carry."""

from __future__ import annotations

from dataclasses import dataclass

Point = tuple[float, float, float]
"""x, y, z in LPS mm."""


@dataclass(frozen=True)
class Mark:
    """A place where a detector believes a node to be.

    Attributes:
        point_mm: x, y, z in LPS mm.
        score: 0…1, larger for surer.
        radius_mm: The detector's own guess of the node's radius, mm.
        region: ``mediastinum`` or ``abdomen``.
    """

    point_mm: Point
    score: float
    radius_mm: float
    region: str


@dataclass(frozen=True)
class Diameter:
    """A line across a node: its two ends (LPS mm) and its length (mm)."""

    start_mm: Point
    end_mm: Point
    length_mm: float

    def __repr__(self) -> str:
        return f"Diameter({self.length_mm:.1f} mm)"


@dataclass(frozen=True)
class Shape:
    """Diameters, volume and centroid of one node, from its mask; what they mean is said at :class:`Sizes`."""

    long_axis: Diameter
    short_axis: Diameter
    any_plane_long_axis: Diameter
    any_plane_short_axis: Diameter
    volume_mm3: float
    centroid_mm: Point

    def __repr__(self) -> str:
        return f"Shape({_axes(self)}, {self.volume_mm3:.0f} mm³)"


@dataclass(frozen=True)
class Sizes:
    """Sizes of one node, from its mask and the CT.

    ``long_axis`` and ``short_axis`` are RECIST's: on the axial slice where the
    longest diameter is greatest, that diameter, and the longest one
    perpendicular to it. The ``any_plane`` pair is the same search over axial,
    coronal and sagittal slices.

    Attributes:
        long_axis: Longest diameter on the axial slice where it is greatest.
        short_axis: Longest diameter perpendicular to it on the same slice.
        any_plane_long_axis: Longest diameter on any axial, coronal or sagittal slice.
        any_plane_short_axis: Longest diameter perpendicular to that, on its slice.
        volume_mm3: Volume of the mask's voxels, mm³.
        mean_hu: Mean CT number of the mask's voxels, HU.
        centroid_mm: Centre of mass of the mask, LPS mm.
    """

    long_axis: Diameter
    short_axis: Diameter
    any_plane_long_axis: Diameter
    any_plane_short_axis: Diameter
    volume_mm3: float
    mean_hu: float
    centroid_mm: Point

    def __repr__(self) -> str:
        return f"Sizes({_axes(self)}, {self.volume_mm3:.0f} mm³, {self.mean_hu:.0f} HU)"


def _axes(shape: Shape | Sizes) -> str:
    return f"short axis {shape.short_axis.length_mm:.1f} mm, long axis {shape.long_axis.length_mm:.1f} mm"


@dataclass(frozen=True)
class Judged:
    """One of the features that Node-RADS asks for.

    Attributes:
        finding: Such as ``homogeneous``; empty where it cannot be judged.
        points: What it adds to the score; None where it cannot be judged.
        reason: Why, in words and figures.
    """

    finding: str
    points: int | None
    reason: str


@dataclass(frozen=True)
class NodeRads:
    """Node-RADS 1.0 (Elsholtz et al., Eur Radiol 2021): how likely a node is to be involved.

    Attributes:
        lowest: Category, 1 (very low) to 5 (very high), if all that cannot be judged is harmless.
        highest: The same if it is not; equal to ``lowest`` where everything can be judged.
        size: Normal, enlarged or bulk; it has no points.
        texture: 0 to 3 points.
        border: 0 or 1.
        shape: 0 or 1; whether there is a fatty hilum, too.
        reason: How the category follows, in words.
    """

    lowest: int
    highest: int
    size: Judged
    texture: Judged
    border: Judged
    shape: Judged
    reason: str

    def __repr__(self) -> str:
        return f"NodeRads({self}; {self.reason})"

    def __str__(self) -> str:
        return str(self.lowest) if self.lowest == self.highest else f"{self.lowest}–{self.highest}"


@dataclass(frozen=True)
class LymphNode:
    """One node of one case.

    Attributes:
        node: Number within the case, equal to its label in the instance mask; from 1.
        point_mm: The mark that found it, or for a drawn mask its centroid; LPS mm.
        index_ijk: The voxel at ``point_mm``, 0-based, along x, y, z of the CT's array.
        sizes: What was measured.
        score: 0…1, or None where nobody scored it (a drawn mask).
        region: ``mediastinum``, ``abdomen`` or ``""`` where not known.
        station: Name of the lymph node station, or ``""`` where not known.
        model: Name of the detector that found it, or ``""``.
        node_rads: How likely it is to be involved, or None where nobody judged it.
    """

    node: int
    point_mm: Point
    index_ijk: tuple[int, int, int]
    sizes: Sizes
    score: float | None = None
    region: str = ""
    station: str = ""
    model: str = ""
    node_rads: NodeRads | None = None

    def __repr__(self) -> str:
        place = ", ".join(f"{mm:.1f}" for mm in self.point_mm)
        named = [name for name in (self.region, self.station) if name]
        score = [] if self.score is None else [f"score {self.score:.2f}"]
        rads = [f"Node-RADS {self.node_rads}"] if self.node_rads else []
        return f"LymphNode({', '.join([str(self.node), f'at {place} mm', _axes(self.sizes), *named, *score, *rads])})"
