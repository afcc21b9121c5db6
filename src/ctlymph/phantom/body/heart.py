"""The heart in its pericardium: chambers, coronary vessels in their fat, and the recesses that look like nodes."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ctlymph.phantom.body.parts import BodyPart
from ctlymph.phantom.body.physique import Physique
from ctlymph.phantom.body.shapes import Intersection, LatticeSolid, Offset, Solid, Subtraction, Tubes, Union, tube
from ctlymph.phantom.body.trunk import Trunk

_MIDDLE = (12, -46, 268)
# Where the coronary vessels run, roughly; they are laid onto the surface.
_CORONARIES = {
    "right coronary artery": [(-4, -66, 300), (-22, -80, 286), (-28, -82, 262), (-20, -66, 244), (0, -40, 238)],
    "anterior interventricular artery": [(16, -66, 302), (30, -86, 286), (50, -86, 264), (62, -74, 246)],
    "circumflex artery": [(24, -46, 306), (52, -34, 294), (68, -24, 274), (50, -16, 258)],
    "coronary sinus": [(62, -20, 270), (40, -12, 262), (8, -14, 262)],
}
# Pouches of the pericardium between the great vessels: middle, half axes, turn about x, y, z.
_RECESSES = {
    "superior aortic recess": ((-6, -29, 342), (8, 3.2, 7), (0, 0, 15)),
    "anterior aortic recess": ((7, -61, 332), (5.5, 4, 9), (0, 0, 0)),
    "right pulmonic recess": ((-24, -15, 309), (6, 3, 4), (0, 0, 20)),
    "left pulmonic recess": ((38, -34, 322), (4, 4.5, 7), (0, 0, 0)),
    "transverse sinus": ((10, -31, 312), (9, 3, 4.5), (0, 0, 0)),
    "oblique sinus": ((2, 0, 302), (8, 2.8, 7), (0, 0, 0)),
}


def heart_parts(trunk: Trunk) -> list[BodyPart]:
    """Return pericardium, heart, coronary vessels and pericardial recesses, in painting order."""
    physique, t = trunk.physique, trunk.physique.tissues
    muscle, cavities = _walls(physique)
    sac = physique.uneven(Offset(muscle, 2.6 * physique.visceral_fat**0.5 + 0.8), 1.8, 45)
    pericardium = LatticeSolid(Intersection((trunk.cavity, sac)), 2.5)
    parts = [
        BodyPart("pericardium", "organ", pericardium, t.fat + 110),
        BodyPart("epicardial fat", "fat", Offset(pericardium, -1.4), t.fat + 5),
        BodyPart("heart", "organ", muscle, t.heart_muscle),
        BodyPart("heart chambers", "organ", cavities, t.heart_blood),
    ]
    return parts + _coronaries(physique, muscle) + _recesses(physique)


def _walls(physique: Physique) -> tuple[LatticeSolid, LatticeSolid]:
    swell = float(physique.rng.uniform(0.92, 1.1))
    lie = float(physique.rng.normal(0, 6))
    left = physique.ellipsoid((36, -46, 266), np.array((47, 32, 32)) * swell, (0, 22 + lie, -30 + lie))
    right = physique.ellipsoid((8, -62, 264), np.array((42, 24, 30)) * swell, (0, 20 + lie, -14 + lie))
    atria = (
        physique.ellipsoid((-30, -44, 276), (23, 24, 34)),
        physique.ellipsoid((4, -17, 294), (31, 17, 20), (0, 0, 8)),
    )
    appendage = physique.tube([(28, -26, 302, 8), (40, -40, 310, 7), (36, -52, 314, 4)])
    outflow = physique.tube([(10, -66, 268, 17), (20, -64, 294, 14)])
    cavities = (
        Offset(left, -float(physique.rng.uniform(9, 13))),
        Subtraction(Offset(right, -3.5), (Offset(left, 3.0),)),
        *(Offset(atrium, -2.0) for atrium in atria),
        Offset(appendage, -1.5),
        physique.tube([(22, -46, 274, 12), (2, -44, 298, 13.5)]),
        Offset(outflow, -2.5),
    )
    muscle = Union((left, right, *atria, appendage, outflow), 6.0)
    return (
        LatticeSolid(physique.uneven(muscle, 1.5, 35), 2.5, margin_mm=10.0),
        LatticeSolid(physique.uneven(Union(cavities), 2.0, 22), 2.0),
    )


def _coronaries(physique: Physique, heart: Solid) -> list[BodyPart]:
    t = physique.tissues
    courses = {
        name: _on_surface(heart, physique.place(_MIDDLE), physique.place(path)) for name, path in _CORONARIES.items()
    }
    fat = [
        BodyPart("fat of the groove", "fat", _thick(path, 4.2 * physique.visceral_fat**0.5), t.fat + 5)
        for path in courses.values()
    ]
    vessels = [
        BodyPart(name, "vessel", _thick(path, 3.2 if "sinus" in name else 1.8), t.vein if "sinus" in name else t.artery)
        for name, path in courses.items()
    ]
    parts = fat + vessels
    if "calcified arteries" in physique.findings:
        for name in ("anterior interventricular artery", "right coronary artery"):
            spots = courses[name][physique.rng.integers(0, len(courses[name]) - 1, 3)]
            for spot in spots:
                plaque = Tubes(spot[None], spot[None] + (3, -1, -3), np.array([[1.3, 0.9]]))
                parts.append(BodyPart("coronary calcification", "twigs", plaque, 650.0))
    return parts


def _recesses(physique: Physique) -> list[BodyPart]:
    """Return those pericardial recesses that hold fluid in this patient."""
    return [
        BodyPart(name, "organ", _pouch(physique, *place), float(physique.rng.normal(16, 6)))
        for name, place in _RECESSES.items()
        if physique.rng.random() < 0.8
    ]


def _pouch(
    physique: Physique,
    middle: tuple[float, float, float],
    radii: tuple[float, float, float],
    turn_deg: tuple[float, float, float],
) -> Solid:
    return physique.uneven(
        physique.ellipsoid(middle, np.array(radii) * physique.rng.uniform(0.8, 1.5), turn_deg), 1.2, 10
    )


def _thick(path: NDArray[np.float64], radius: float) -> Tubes:
    return tube(np.column_stack([path, np.full(len(path), radius)]))


def _on_surface(solid: Solid, middle: ArrayLike, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Move points along rays from ``middle`` to where these leave the solid."""
    rays = points - np.asarray(middle)
    steps = np.linspace(0.3, 2.2, 200)
    along = np.asarray(middle) + rays[:, None] * steps[:, None]
    inside = solid.at(along.reshape(-1, 3)).reshape(len(points), -1) < 0
    last = inside.shape[1] - 1 - inside[:, ::-1].argmax(axis=1)
    return np.asarray(along[np.arange(len(points)), last])
