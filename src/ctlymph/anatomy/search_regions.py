"""The search regions, mediastinum and abdomen, defined by the landmarks.

They are generous on purpose: a region limits the search, it is no segmentation
of an organ. The parts that a region leaves out (subcutaneous fat, chest wall,
back muscles, the inside of the lungs) contain no nodes of this region.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ctlymph.anatomy.landmarks import Landmarks
from ctlymph.core.errors import CtlymphError
from ctlymph.core.morphology import (
    Mask,
    closed,
    dilate,
    disk_filter,
    erode,
    fill_slices,
    hull_of_slice,
    largest_component,
)
from ctlymph.core.regions import ABDOMEN, MEDIASTINUM, REGIONS, Region

_LUNG_PAIR_MM2 = 500.0
"""Both lungs are in a slice if each has at least this area."""

_DOME_SIDE_MM = 60.0
_DOME_MM2 = 600.0
_DOME_RUN_MM = 15.0
"""The liver's dome: tissue within the outline of the right lung, farther from the midline than the heart extends, in
every slice over a length downwards."""

_HEART_BELOW_DOME_MM = 35.0
"""Heart, oesophagus and paracardiac fat extend this far below the right dome."""
_LIVER_SIDE_MM = 30.0
"""Below the dome, tissue farther to the right of the midline is liver."""

_TRACHEA_MM = 35.0
_ABOVE_APEX_MM = 25.0
"""Upper paratracheal nodes lie within this distance of the trachea, up to the thoracic inlet."""

_NODULE_MM = 5.0
_ARM_MM = 15.0
"""Half the width of the bridges that connect a lung nodule with the mediastinum, and an arm with the trunk."""
_EDGE_MM = 10.0
"""Distance up to which thin layers, pleura and pericardial fat, extend from the core of a region."""

_WALL_MM = 10.0
"""Muscles of the abdominal wall."""

_LINEA_ALBA_MM = 18.0
"""Half the width of the widest gap between muscles of the wall that is bridged."""
_SACRUM_MM = 100.0
_CREST_MM = 40.0
_PELVIS_INSIDE_MM = 50.0
"""The iliac crest is this far above the sacrum, and half of the inner pelvis is at least this wide."""
_GLUTEAL_MM = 20.0
"""Gluteal muscle extends this far in front of and behind the bone."""
_BEHIND_SPINE_MM = 12.0

_WING_MM = (50.0, 125.0)
_WING_RADIUS_MM = 15.0
_WING_SHARE = 0.3
"""On both sides of the midline this share of a disk is bone, from the hips up to the iliac crest, without a gap."""
_GROIN_MM = (25.0, 100.0)
_GROIN_BELOW_CREST_MM = (80.0, 200.0)
"""The groins: distances from the midline, and below the iliac crest; in front of the vertebra at its height. They lie
outside the muscles of the wall; about 50 of the 595 abdominal nodes of the public collection are there."""
_SKIN_MM = 6.0

_SPINE_EVIDENCE = 0.15
_TORSO_WIDTH_MM = 220.0
_TORSO_BONE = 0.15
"""The trunk of an adult is wider, and has less bone in a section than a head; of two legs only one is the body."""

_MIN_MM = 40.0
_FAT_HU = -40
_GAS_HU = -250
_BONE_HU = 150


def find_regions(landmarks: Landmarks, region: str = "auto") -> list[Region]:
    """Find the search regions of a scan.

    Args:
        landmarks: The landmarks, from :func:`ctlymph.anatomy.landmarks.find_landmarks`.
        region: ``mediastinum``, ``abdomen``, or ``auto`` for those of the two
            that fill at least 40 mm or half of the scan.

    Returns:
        One or two regions, mediastinum first, on the grid of the landmarks.

    Raises:
        CtlymphError: If the scan contains neither, or not the requested one.
        ValueError: If ``region`` is none of the three words.
    """
    if region not in (*REGIONS, "auto"):
        raise ValueError(f"region {region!r} is none of {', '.join(REGIONS)}, auto")
    dome = _dome(landmarks)
    mediastinum = _mediastinum(landmarks, dome)
    abdomen = _abdomen(landmarks, dome) & ~mediastinum
    found = [
        Region(name, mask, landmarks.geometry)
        for name, mask in ((MEDIASTINUM, mediastinum), (ABDOMEN, abdomen))
        if _fills_enough(mask, landmarks) and region in (name, "auto")
    ]
    if not found:
        raise CtlymphError(_why_nothing(landmarks, region))
    return found


def _why_nothing(landmarks: Landmarks, region: str) -> str:
    absent = "neither a mediastinum nor an abdomen" if region == "auto" else f"no {region}"
    slices, lungs = len(landmarks.hu), landmarks.lungs.any()
    spine = bool((landmarks.spine[:, 2] > _SPINE_EVIDENCE).any())
    found = f"lungs {'found' if lungs else 'not found'}, spine {'found' if spine else 'not found'}"
    return (
        f"the scan contains {absent} ({slices * landmarks.geometry.spacing_mm[2]:.0f} mm of slices; {found}); "
        "give a CT of the chest or abdomen of an adult"
    )


def _fills_enough(mask: Mask, landmarks: Landmarks) -> bool:
    slices = int(mask.any(axis=(1, 2)).sum())
    return slices > 0 and (slices * landmarks.geometry.spacing_mm[2] >= _MIN_MM or 2 * slices >= len(mask))


def _columns(landmarks: Landmarks) -> NDArray[np.int_]:
    """Return the column indices, for comparison with the columns of the spine."""
    return np.arange(landmarks.hu.shape[2])


def _lung_sides(landmarks: Landmarks) -> tuple[Mask, Mask]:
    """Return the right and the left lung, split at the column of the spine."""
    right = _columns(landmarks) < landmarks.spine[:, 0][:, None]
    return landmarks.lungs & right[:, None], landmarks.lungs & ~right[:, None]


def _area_mm2(mask: Mask, landmarks: Landmarks) -> NDArray[np.float64]:
    return np.asarray(mask.sum(axis=(1, 2)) * np.prod(landmarks.geometry.spacing_mm[:2]))


def _dome(landmarks: Landmarks) -> int | None:
    """Return the slice of the right diaphragm's dome, or None if it is not in view."""
    right, _ = _lung_sides(landmarks)
    side = landmarks.spine[:, 0] - _DOME_SIDE_MM / landmarks.geometry.spacing_mm[0]
    outline = np.stack([hull_of_slice(plane) for plane in right])
    liver = outline & ~right & (_columns(landmarks) < side[:, None])[:, None] & (landmarks.hu > _FAT_HU)
    holds = _area_mm2(liver, landmarks) > _DOME_MM2
    run = max(1, round(_DOME_RUN_MM / landmarks.geometry.spacing_mm[2]))
    tops = [k for k in range(len(holds)) if holds[max(0, k - run + 1) : k + 1].all()]
    return max(tops) if tops else None


def _mediastinum(landmarks: Landmarks, dome: int | None) -> Mask:
    """Return the mediastinum: between the lungs, in front of the spine, from the thoracic inlet to the diaphragm."""
    right, left = _lung_sides(landmarks)
    spacing = landmarks.geometry.spacing_mm
    pair = (_area_mm2(right, landmarks) > _LUNG_PAIR_MM2) & (_area_mm2(left, landmarks) > _LUNG_PAIR_MM2)
    if not pair.any():
        return np.zeros_like(landmarks.body)
    between = np.stack([hull_of_slice(plane) for plane in landmarks.lungs]) & pair[:, None, None]
    inside = (between | _around_trachea(landmarks)) & landmarks.body & ~landmarks.lungs & ~landmarks.airway.lumen
    inside &= _in_front_of(landmarks.spine[:, 1], landmarks)
    if dome is not None:
        lowest = max(0, dome - round(_HEART_BELOW_DOME_MM / spacing[2]))
        inside[:lowest] = False
        liver_side = _columns(landmarks) < (landmarks.spine[:, 0] - _LIVER_SIDE_MM / spacing[0])[:, None]
        inside[lowest:dome] &= ~liver_side[lowest:dome, None]
    return _in_one_piece(inside, landmarks, _NODULE_MM)


def _in_one_piece(inside: Mask, landmarks: Landmarks, bridge_mm: float) -> Mask:
    """Remove parts with a connection of less than twice this width: lung nodules, an arm next to the trunk."""
    cores = erode(inside, landmarks.geometry, bridge_mm)
    if not cores.any():
        return inside
    return inside & dilate(largest_component(cores), landmarks.geometry, bridge_mm + _EDGE_MM)


def _around_trachea(landmarks: Landmarks) -> Mask:
    """Return a column around the trachea, up to the thoracic inlet."""
    near = np.zeros_like(landmarks.body)
    apex = int(np.flatnonzero(landmarks.lungs.any(axis=(1, 2))).max())
    top = apex + _ABOVE_APEX_MM / landmarks.geometry.spacing_mm[2]
    sx, sy, _ = landmarks.geometry.spacing_mm
    rows, columns = np.indices(landmarks.body.shape[1:])
    for i, j, k in landmarks.airway.path_ijk:
        if k <= top:
            near[int(k)] = np.hypot((columns - i) * sx, (rows - j) * sy) < _TRACHEA_MM
    return near


def _in_front_of(rows: Sequence[float] | NDArray[np.float64], landmarks: Landmarks) -> Mask:
    """Return all voxels in front of a row, given for each slice."""
    return np.asarray(np.arange(landmarks.hu.shape[1])[None, :, None] < np.asarray(rows)[:, None, None])


def _abdomen(landmarks: Landmarks, dome: int | None) -> Mask:
    """Return the abdomen, within its wall, in front of the back muscles, down to the pelvic floor; and the groins."""
    if not _is_torso(landmarks):
        return np.zeros_like(landmarks.body)
    spacing = landmarks.geometry.spacing_mm
    spined = np.flatnonzero(landmarks.spine[:, 2] > _SPINE_EVIDENCE)
    back = landmarks.spine[:, 1] + _BEHIND_SPINE_MM / spacing[1]
    # The sacrum has no ring of bone around its canal: continue from the last lumbar vertebra.
    back[: spined[0]] = back[spined[0]] + 2 * _BEHIND_SPINE_MM / spacing[1]
    inside = _cavity(landmarks) & ~landmarks.lungs & _in_front_of(back, landmarks)
    pelvis = slice(0, spined[0] + round(_CREST_MM / spacing[2]))
    inside[pelvis] &= ~_lateral_to_pelvic_bone(landmarks)[pelvis]
    inside[: max(0, spined[0] - round(_SACRUM_MM / spacing[2]))] = False
    if dome is not None:
        inside[dome:] = False
    elif landmarks.lungs.any():
        inside[int(np.flatnonzero(landmarks.lungs.any(axis=(1, 2))).min()) :] = False
    return _in_one_piece(inside, landmarks, _ARM_MM) | _groins(landmarks)


def _groins(landmarks: Landmarks) -> Mask:
    """Return the fat around the femoral vessels, in front of the hips; empty if no hip is in view."""
    crest = _iliac_crest(landmarks)
    inside = erode(landmarks.body, landmarks.geometry, _SKIN_MM)
    inside &= _in_front_of(np.full(len(inside), landmarks.spine[crest, 1]), landmarks)
    lateral_mm = np.abs(_off_midline_mm(landmarks))
    inside &= ((lateral_mm >= _GROIN_MM[0]) & (lateral_mm <= _GROIN_MM[1]))[:, None]
    top, bottom = (max(0, crest - round(mm / landmarks.geometry.spacing_mm[2])) for mm in _GROIN_BELOW_CREST_MM)
    inside[top:] = False
    inside[:bottom] = False
    return inside


def _iliac_crest(landmarks: Landmarks) -> int:
    """Return the slice in which the hip bones end, followed from the lowest slice upwards; 0 if they are not in it."""
    bone = disk_filter(_bone(landmarks), landmarks.geometry, _WING_RADIUS_MM)
    off_mm = _off_midline_mm(landmarks)
    sides = [(way * off_mm > _WING_MM[0]) & (way * off_mm < _WING_MM[1]) for way in (-1, 1)]
    share = np.minimum(*(np.where(side[:, None], bone, 0).max(axis=(1, 2)) for side in sides))
    without = np.flatnonzero(share < _WING_SHARE)
    return int(without[0]) if len(without) else len(share) - 1


def _off_midline_mm(landmarks: Landmarks) -> NDArray[np.float64]:
    """Return the distance of each column to the left of the middle of the body, ``(z, x)``, mm."""
    columns = _columns(landmarks)
    wide = landmarks.body.any(axis=1)
    middle = (wide * columns).sum(axis=1) / np.maximum(wide.sum(axis=1), 1)
    return np.asarray((columns - middle[:, None]) * landmarks.geometry.spacing_mm[0])


def _bone(landmarks: Landmarks) -> Mask:
    """Return the skeleton: the largest connected piece of bone."""
    return largest_component((landmarks.hu > _BONE_HU) & landmarks.body)


def _lateral_to_pelvic_bone(landmarks: Landmarks) -> Mask:
    """Return everything lateral to the pelvic bone: gluteal muscles and hips."""
    from scipy import ndimage

    bone = _bone(landmarks)
    length = 1 + 2 * round(_GLUTEAL_MM / landmarks.geometry.spacing_mm[1])
    bone = ndimage.binary_dilation(bone, np.ones((1, length, 1)))
    off = _columns(landmarks) - landmarks.spine[:, 0][:, None]
    far = np.abs(off) * landmarks.geometry.spacing_mm[0] > _PELVIS_INSIDE_MM
    right = bone & (far & (off < 0))[:, None]
    left = bone & (far & (off > 0))[:, None]
    return np.logical_or.accumulate(right[..., ::-1], axis=2)[..., ::-1] | np.logical_or.accumulate(left, axis=2)


def _is_torso(landmarks: Landmarks) -> bool:
    slices = np.flatnonzero(landmarks.body.any(axis=(1, 2)))
    if len(slices) == 0 or not (landmarks.spine[:, 2] > _SPINE_EVIDENCE).any():
        return False
    width = landmarks.body.any(axis=1).sum(axis=1)[slices] * landmarks.geometry.spacing_mm[0]
    bone = (landmarks.hu > _BONE_HU) & landmarks.body
    share = bone.sum(axis=(1, 2))[slices] / landmarks.body.sum(axis=(1, 2))[slices]
    return bool(np.median(width) >= _TORSO_WIDTH_MM and np.median(share) <= _TORSO_BONE)


def _cavity(landmarks: Landmarks) -> Mask:
    """Return the body without subcutaneous fat and abdominal wall.

    The muscles are a closed ring around the cavity in each slice. Morphological
    closing bridges the linea alba and other thin places, so that fat inside and
    outside stay separate.
    """
    geometry = landmarks.geometry
    not_fat = (landmarks.hu > _FAT_HU) | (landmarks.hu < _GAS_HU) | landmarks.lungs
    skinless = erode(landmarks.body, geometry, _SKIN_MM)
    ring = fill_slices(closed(not_fat & skinless, geometry, _LINEA_ALBA_MM) & skinless, geometry)
    return erode(largest_component(ring), geometry, _WALL_MM)
