"""Detections and lymph nodes with their sizes and Node-RADS."""

from __future__ import annotations

from dataclasses import dataclass

Point = tuple[float, float, float]
"""x, y, z in LPS mm."""


@dataclass(frozen=True)
class Mark:
    """A detection: a point at which a detector found a node.

    Attributes:
        point_mm: x, y, z in LPS mm.
        score: Confidence, 0…1.
        radius_mm: The detector's estimate of the node's radius, mm.
        region: ``mediastinum`` or ``abdomen``.
    """

    point_mm: Point
    score: float
    radius_mm: float
    region: str


@dataclass(frozen=True)
class Diameter:
    """A line across a node: its two ends (x, y, z in LPS mm) and its length (mm)."""

    start_mm: Point
    end_mm: Point
    length_mm: float

    def __repr__(self) -> str:
        return f"Diameter({self.length_mm:.1f} mm)"


@dataclass(frozen=True)
class Shape:
    """Diameters, volume and centroid of one node, from its mask; see :class:`Sizes` for their definitions."""

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
    perpendicular to it. The ``any_plane`` pair comes from the same search over
    axial, coronal and sagittal slices.

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
class NodeRadsFeature:
    """The assessment of one Node-RADS feature, such as texture.

    Attributes:
        finding: Such as ``homogeneous``; empty if the feature cannot be assessed.
        points: Points that it adds to the score; None if the feature cannot be assessed.
        reason: The measurements behind the finding, in words.
    """

    finding: str
    points: int | None
    reason: str


@dataclass(frozen=True)
class NodeRads:
    """Node-RADS 1.0 (Elsholtz et al., Eur Radiol 2021): the likelihood of cancer in a node.

    Attributes:
        lowest: Category, 1 (very low) to 5 (very high), with 0 points for all features that cannot be assessed.
        highest: Category with all points for these features; equal to ``lowest`` if every feature can be assessed.
        size: Normal, enlarged or bulk; without points.
        texture: 0 to 3 points.
        border: 0 or 1 point.
        shape: 0 or 1 point; includes whether there is a fatty hilum.
        reason: How the category follows from the features, in words.
    """

    lowest: int
    highest: int
    size: NodeRadsFeature
    texture: NodeRadsFeature
    border: NodeRadsFeature
    shape: NodeRadsFeature
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
        point_mm: The detector's point, or the centroid of an annotated mask; x, y, z in LPS mm.
        index_ijk: The voxel at ``point_mm``, 0-based, along x, y, z of the CT's array.
        sizes: Diameters, volume and mean HU.
        score: Confidence of the detector, 0…1; None for an annotated mask.
        region: ``mediastinum``, ``abdomen`` or ``""`` if not known.
        station: Name of the lymph node station, or ``""`` if not known.
        model: Name of the detector that found it, or ``""``.
        node_rads: Likelihood of cancer; None if it was not assessed.
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
