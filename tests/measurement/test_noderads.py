from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from ctlymph.core.nodes import Diameter, NodeRads, Sizes
from ctlymph.core.volume import Geometry, Masks, Volume, reorient_array
from ctlymph.measurement.axes import measure_mask, measure_masks
from ctlymph.measurement.noderads import BULK, ENLARGED, NORMAL, assess_nodes, assess_size, category, node_rads

ROWS = [
    *((NORMAL, total, expected) for total, expected in enumerate((1, 2, 3, 4, 4, 4))),
    *((ENLARGED, total, expected) for total, expected in enumerate((2, 3, 4, 5, 5, 5))),
    *((BULK, total, 5) for total in range(6)),
]


@pytest.mark.parametrize(("size", "total", "expected"), ROWS)
def test_every_row_of_the_table(size: str, total: int, expected: int) -> None:
    found = {
        category(size, texture, border, shape)
        for texture in range(4)
        for border in range(2)
        for shape in range(2)
        if texture + border + shape == total
    }
    assert found == {expected}


def test_what_is_not_in_the_table_is_refused() -> None:
    with pytest.raises(ValueError, match="huge"):
        category("huge", 0, 0, 0)
    with pytest.raises(ValueError, match="not within"):
        category(NORMAL, 4, 0, 0)


def sized(short_mm: float, longest_mm: float | None = None) -> Sizes:
    def line(length_mm: float) -> Diameter:
        return Diameter((0, 0, 0), (length_mm, 0, 0), length_mm)

    longest = longest_mm or short_mm * 1.2
    return Sizes(line(longest), line(short_mm), line(longest), line(short_mm), 1000, 40, (0, 0, 0))


@pytest.mark.parametrize(
    ("sizes", "station", "former_mm", "expected"),
    [
        (sized(9.9), "", None, NORMAL),
        (sized(10.0), "", None, ENLARGED),
        (sized(14.9), "left inguinal", None, NORMAL),
        (sized(15.0), "left inguinal", None, ENLARGED),
        *((sized(4.9), station, None, NORMAL) for station in ("mesenteric root", "left retrocrural", "mesenteric")),
        *((sized(5.0), station, None, ENLARGED) for station in ("mesenteric root", "right cardiophrenic")),
        (sized(5.0), "mesorectal", None, ENLARGED),
        (sized(5.0), "right obturator", None, ENLARGED),
        (sized(8.0), "7", 6.1, NORMAL),
        (sized(8.0), "7", 6.0, ENLARGED),
        (sized(12.3 - 2), "left inguinal", 8.3, ENLARGED),  # 12.3 - 2 - 8.3 is less than 2 to a computer
        (sized(8.0), "7", 12.0, NORMAL),
        (sized(20.0, 29.9), "", None, ENLARGED),
        (sized(20.0, 30.0), "", None, BULK),
        (sized(6.0, 30.0), "", None, BULK),
    ],
)
def test_size_follows_short_axis_site_growth_and_longest_diameter(
    sizes: Sizes, station: str, former_mm: float | None, expected: str
) -> None:
    judged = assess_size(sizes, station, former_mm)
    assert judged.finding == expected
    assert f"{sizes.short_axis.length_mm:.1f}" in judged.reason or expected == BULK


GRID = Geometry((40, 64, 64), np.array([-26.0, -26.0, -26.0]), np.array([0.8, 0.8, 1.25]))
POINTS = GRID.index_to_mm(np.moveaxis(np.indices(GRID.shape_zyx)[::-1], 0, -1))


def inside(radii_mm: tuple[float, float, float], centre_mm: tuple[float, float, float] = (0, 0, 0)) -> np.ndarray:
    return np.asarray((((POINTS - centre_mm) / radii_mm) ** 2).sum(axis=-1) <= 1)


def scanned(hu: np.ndarray, noise_hu: float, seed: int = 0) -> np.ndarray:
    """Blur as a scanner does, and add noise."""
    white = np.random.default_rng(seed).normal(0, 1, hu.shape)
    noise = gaussian_filter(white, (0, 0.6, 0.6)) - gaussian_filter(white, (0, 2, 2))  # a CT's has no long waves
    blurred = gaussian_filter(hu, 1.0 / GRID.spacing_zyx)
    return (blurred + noise_hu * noise / noise.std()).astype(np.int16)


def assessed(
    mask: np.ndarray, inner: np.ndarray | None = None, inner_hu: float = 0, noise_hu: float = 12, tissue_hu: float = 85
) -> NodeRads:
    hu = np.where(mask, tissue_hu, -95.0)
    if inner is not None:
        hu[inner & mask] = inner_hu
    seen = scanned(hu, noise_hu)
    return node_rads(mask, GRID, seen, measure_mask(mask, GRID, seen))


def test_an_even_oval_node_is_homogeneous_smooth_and_not_spherical() -> None:
    found = assessed(inside((6, 8, 12)))
    assert [found.texture.points, found.border.points, found.shape.points] == [0, 0, 0]
    assert (found.lowest, found.highest, str(found)) == (2, 2, "2")


def test_a_ball_is_spherical_unless_it_has_a_fatty_hilum() -> None:
    ball, hilum = inside((8, 8, 8)), inside((3.5, 3.5, 3.5), (3, 0, 0))
    assert assessed(ball).shape.points == 1
    fatty = assessed(ball, hilum, -90)
    assert (fatty.shape.finding, fatty.shape.points) == ("fatty hilum", 0)
    assert fatty.texture.points in (0, None)  # fat is no necrosis


def test_necrosis_is_focal_or_gross_by_its_share() -> None:
    node = inside((10, 10, 12))
    assert assessed(node).texture.points == 0
    assert assessed(node, inside((5, 5, 5)), 15).texture.finding == "focal necrosis"
    assert assessed(node, inside((8.2, 8.2, 10)), 15).texture.finding == "gross necrosis"
    assert assessed(node, inside((3, 3, 3)), 500).texture.points != 3  # calcium is no necrosis


def test_a_border_with_short_waves_is_irregular() -> None:
    angle = np.arctan2(POINTS[..., 1], POINTS[..., 0])
    radius = np.linalg.norm(POINTS / (1, 1, 1.3), axis=-1)
    wavy = radius <= 10 * (1 + 0.09 * np.sin(9 * angle))
    assert assessed(wavy).border.points == 1
    assert assessed(radius <= 10).border.points == 0


@pytest.mark.parametrize(
    ("found", "feature", "why"),
    [
        (lambda: assessed(inside((2.2, 2.2, 2.2))), "texture", "free of edge"),
        (lambda: assessed(inside((2.2, 2.2, 2.2))), "border", "are needed"),
        (lambda: assessed(inside((6, 8, 12)), noise_hu=120), "texture", "too much"),
        (lambda: assessed(inside((6, 8, 12)), tissue_hu=40), "texture", "hardly enhanced"),
        (lambda: assessed(inside((6, 8, 12), (0, 0, -26))), "border", "scan ends"),
    ],
)
def test_what_cannot_be_assessed_says_so_and_makes_the_category_a_range(found, feature: str, why: str) -> None:  # type: ignore[no-untyped-def]
    rads = found()
    part = getattr(rads, feature)
    assert (part.finding, part.points) == ("", None)
    assert why in part.reason
    assert rads.lowest < rads.highest
    assert str(rads) == f"{rads.lowest}–{rads.highest}"


def test_a_dark_core_in_tissue_without_contrast_agent_is_not_assessed_but_a_dark_node_is() -> None:
    node = inside((10, 10, 12))
    assert assessed(node, inside((5, 5, 5)), 15, tissue_hu=40).texture.points is None
    assert assessed(node, tissue_hu=12).texture.finding == "gross necrosis"


def test_a_small_node_in_thick_slices_is_not_assessed_but_for_its_size() -> None:
    grid = Geometry((9, 64, 64), np.array([-26.0, -26.0, -20.0]), np.array([0.8, 0.8, 5.0]))
    points = grid.index_to_mm(np.moveaxis(np.indices(grid.shape_zyx)[::-1], 0, -1))
    mask = np.linalg.norm(points, axis=-1) <= 3.5
    hu = np.where(mask, 85, -95).astype(np.int16)
    found = node_rads(mask, grid, hu, measure_mask(mask, grid, hu))
    assert [part.points for part in (found.texture, found.border, found.shape)] == [None] * 3
    assert (found.size.finding, str(found)) == (NORMAL, "1–4")


def test_axes_in_another_order_make_no_difference() -> None:
    mask = inside((6, 8, 11))
    seen = scanned(np.where(mask, 85.0, -95.0), 12)
    sizes = measure_mask(mask, GRID, seen)
    plain = node_rads(mask, GRID, seen, sizes)
    turned, grid = reorient_array(mask, GRID, "ASR")
    hu, _ = reorient_array(seen, GRID, "ASR")
    assert node_rads(turned, grid, hu, sizes) == plain


def test_nodes_of_a_scan_are_assessed_with_their_former_sizes() -> None:
    mask = inside((4, 4, 5))
    hu = scanned(np.where(mask, 85.0, -95.0), 12)
    volume, masks = Volume(hu, GRID), Masks(mask.astype(np.uint16) * 3, GRID)
    nodes = measure_masks(volume, masks)
    (first,) = assess_nodes(volume, masks, nodes)
    (grown,) = assess_nodes(volume, masks, nodes, {3: 5.0})
    assert first.node_rads is not None
    assert grown.node_rads is not None
    assert (first.node_rads.size.finding, grown.node_rads.size.finding) == (NORMAL, ENLARGED)
    with pytest.raises(ValueError, match="no node 4"):
        assess_nodes(volume, masks, [replace(nodes[0], node=4)])
