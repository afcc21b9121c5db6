"""Geometry against SimpleITK, for grids that are turned, mirrored and unevenly spaced."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from ctlymph.core.errors import CtlymphError
from ctlymph.core.volume import AIR_HU, Geometry, Volume, geometry_of, to_sitk

ORIENTATIONS = ["".join(letters) for axes in permutations(("LR", "AP", "IS")) for letters in product(*axes)]


@st.composite
def volumes(draw: st.DrawFn, tilt_deg: int = 180) -> Volume:
    """Volumes of noise on any rectangular grid, whose axes lie up to ``tilt_deg`` from some patient axes."""
    shape = draw(st.tuples(*(st.integers(1, 7),) * 3))
    spacing = draw(st.tuples(*(st.floats(0.3, 5.0),) * 3))
    origin = draw(st.tuples(*(st.floats(-900.0, 900.0),) * 3))
    axis = np.array(draw(st.tuples(*(st.floats(0.1, 1.0),) * 3)))
    angle = np.radians(draw(st.integers(-tilt_deg, tilt_deg)))
    turn = Rotation.from_rotvec(angle * axis / np.linalg.norm(axis)).as_matrix()
    order = draw(st.permutations([0, 1, 2]))
    signs = draw(st.tuples(*(st.sampled_from([-1.0, 1.0]),) * 3))
    geometry = Geometry(shape, np.array(origin), np.array(spacing), turn @ (np.eye(3)[:, order] * signs))
    rng = np.random.default_rng(draw(st.integers(0, 9)))
    return Volume(rng.integers(-1000, 2000, shape).astype(np.int16), geometry)


points = st.lists(st.tuples(*(st.floats(-50.0, 50.0),) * 3), min_size=1, max_size=5).map(np.array)


def assert_same(volume: Volume, image: sitk.Image) -> None:
    assert volume.geometry.matches(geometry_of(image), tolerance_mm=1e-6)
    np.testing.assert_array_equal(volume.hu, sitk.GetArrayFromImage(image))


@given(volumes(), points)
def test_an_index_comes_back_from_millimetres(volume: Volume, ijk: np.ndarray) -> None:
    geometry = volume.geometry
    np.testing.assert_allclose(geometry.mm_to_index(geometry.index_to_mm(ijk)), ijk, atol=1e-8)


@given(volumes(), points)
def test_indices_and_millimetres_are_those_of_simpleitk(volume: Volume, ijk: np.ndarray) -> None:
    image = to_sitk(volume.hu, volume.geometry)
    expected = [image.TransformContinuousIndexToPhysicalPoint(point.tolist()) for point in ijk]
    np.testing.assert_allclose(volume.geometry.index_to_mm(ijk), expected, atol=1e-8)
    np.testing.assert_allclose(
        volume.geometry.affine[:3, :3] @ ijk.T + volume.geometry.affine[:3, 3:], np.transpose(expected), atol=1e-8
    )


@given(volumes())
def test_a_geometry_comes_back_from_its_affine(volume: Volume) -> None:
    assert volume.geometry.matches(Geometry.from_affine(volume.geometry.affine, volume.geometry.shape_zyx), 1e-8)


@given(volumes(tilt_deg=25), st.sampled_from(ORIENTATIONS))
def test_turning_the_axes_is_what_simpleitk_does(volume: Volume, orientation: str) -> None:
    turned = volume.reorient(orientation)
    assert turned.geometry.orientation == orientation
    assert_same(turned, sitk.DICOMOrient(to_sitk(volume.hu, volume.geometry), orientation))


@given(volumes(), st.sampled_from(ORIENTATIONS))
def test_turning_the_axes_leaves_every_voxel_at_its_place(volume: Volume, orientation: str) -> None:
    turned = volume.reorient(orientation)
    zyx = np.argwhere(np.ones(turned.hu.shape, dtype=bool))
    before = np.rint(volume.geometry.mm_to_index(turned.geometry.index_to_mm(zyx[:, ::-1]))).astype(int)
    np.testing.assert_array_equal(turned.hu[tuple(zyx.T)], volume.hu[tuple(before[:, ::-1].T)])


@given(volumes(), st.data())
def test_a_box_partly_outside_is_padded_with_air_as_simpleitk_pads(volume: Volume, data: st.DataObject) -> None:
    start = np.array([data.draw(st.integers(-3, n - 1)) for n in volume.hu.shape])
    shape = np.array([data.draw(st.integers(max(1, 1 - s), 9)) for s in start])
    image = sitk.ConstantPad(to_sitk(volume.hu, volume.geometry), [3] * 3, [12] * 3, AIR_HU)
    expected = sitk.RegionOfInterest(image, shape[::-1].tolist(), (start[::-1] + 3).tolist())
    assert_same(volume.crop(start, shape), expected)


@given(volumes(), volumes())
def test_resampling_to_any_finer_grid_is_simpleitks(volume: Volume, other: Volume) -> None:
    spacing = np.full(3, volume.geometry.spacing_mm.min() / 2)
    grid = Geometry(other.hu.shape, volume.geometry.origin_mm, spacing, other.geometry.direction)
    image, target = to_sitk(volume.hu, volume.geometry), to_sitk(other.hu, grid)
    nearest = sitk.Resample(image, target, sitk.Transform(), sitk.sitkNearestNeighbor, AIR_HU)
    assert_same(volume.resample(grid, "nearest"), nearest)
    # Beyond the outermost centres, where ITK stops, ours holds the value.
    kji = np.moveaxis(np.indices(grid.shape_zyx), 0, -1)
    index = volume.geometry.mm_to_index(grid.index_to_mm(kji[..., ::-1]))
    within = ((index >= 0) & (index <= np.array(volume.geometry.shape_ijk) - 1)).all(axis=-1)
    linear = sitk.GetArrayFromImage(sitk.Resample(image, target, sitk.Transform(), sitk.sitkLinear, AIR_HU))
    np.testing.assert_allclose(volume.resample(grid).hu[within], linear[within], atol=1)


@settings(deadline=None, max_examples=30)
@given(volumes(), st.floats(0.5, 3.0))
def test_a_linear_field_is_kept_on_any_grid(volume: Volume, factor: float) -> None:
    source = Geometry((24, 26, 28), volume.geometry.origin_mm, np.array([0.9, 0.8, 1.3]), volume.geometry.direction)
    slope = np.array([7.0, -5.0, 4.0])
    centre = source.index_to_mm(np.array(source.shape_ijk) / 2)

    def field(geometry: Geometry) -> np.ndarray:
        kji = np.moveaxis(np.indices(geometry.shape_zyx), 0, -1)
        return (geometry.index_to_mm(kji[..., ::-1]) - centre) @ slope

    ramp = Volume(np.rint(field(source)).astype(np.int16), source)
    resampled = ramp.resample(source.spacing_mm * factor)
    middle = tuple(slice(n // 3, n - n // 3) for n in resampled.hu.shape)
    np.testing.assert_allclose(resampled.hu[middle], field(resampled.geometry)[middle], atol=2.0)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize(("period", "factor", "left"), [(2, 2.0, 0.0), (2, 2.6, 0.0), (2, 4.0, 0.0), (3, 4.0, 0.25)])
def test_stripes_finer_than_the_new_grid_leave_what_a_mean_over_its_voxels_leaves(
    axis: int, period: int, factor: float, left: float
) -> None:
    shape = (48, 48, 48)
    geometry = Geometry(shape, np.zeros(3), np.ones(3))
    stripes = Volume((600 * np.cos(2 * np.pi * np.indices(shape)[axis] / period)).astype(np.int16), geometry)
    spacing = np.ones(3)
    spacing[2 - axis] = factor
    grid = geometry.with_spacing(spacing)
    middle = tuple(slice(n // 4, n - n // 4) for n in grid.shape_zyx)
    assert np.abs(stripes.resample(grid, "nearest").hu[middle]).max() > 500  # what aliasing looks like
    assert np.abs(stripes.resample(grid).hu[middle]).max() <= (left + 0.02) * 600


def test_shrinking_noise_averages_it_and_keeps_the_mean() -> None:
    rng = np.random.default_rng(0)
    geometry = Geometry((60, 60, 60), np.zeros(3), np.ones(3))
    noise = Volume(rng.normal(50, 100, geometry.shape_zyx).astype(np.int16), geometry)
    ours = noise.resample(3.0).hu[2:-2, 2:-2, 2:-2]
    # A mean over 27 voxels would leave an SD of 100 / 27^0.5 = 19.
    assert 10 < ours.std() < 30
    assert abs(ours.mean() - 50) < 2


@given(volumes(), st.floats(0.4, 6.0))
def test_a_new_spacing_covers_the_same_box(volume: Volume, spacing: float) -> None:
    old, new = volume.geometry, volume.geometry.with_spacing(spacing)
    np.testing.assert_allclose(new.index_to_mm((-0.5,) * 3), old.index_to_mm((-0.5,) * 3), atol=1e-8)
    spare = np.array(new.shape_ijk) * spacing - np.array(old.shape_ijk) * old.spacing_mm
    assert (spare > -1e-4).all()
    assert (spare < spacing + 1e-4).all()


@given(volumes())
def test_a_grid_contains_its_voxels_and_not_its_neighbours(volume: Volume) -> None:
    geometry = volume.geometry
    last = np.array(geometry.shape_ijk) - 1
    assert geometry.contains(geometry.index_to_mm([(0, 0, 0), last + 0.49, last / 2])).all()
    assert not geometry.contains(geometry.index_to_mm([(-0.51, 0, 0), last + 0.51])).any()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"origin_mm": np.array([np.nan, 0, 0])}, "origin holds NaN"),
        ({"spacing_mm": np.array([1.0, 0, 1])}, "not positive"),
        ({"direction": np.array([[1, 0.2, 0], [0, 1, 0], [0, 0, 1.0]])}, "not perpendicular"),
    ],
)
def test_a_grid_that_cannot_be_is_refused(change: dict[str, np.ndarray], words: str) -> None:
    good = {"origin_mm": np.zeros(3), "spacing_mm": np.ones(3), "direction": np.eye(3)}
    with pytest.raises(CtlymphError, match=words):
        Geometry((2, 2, 2), **(good | change))
