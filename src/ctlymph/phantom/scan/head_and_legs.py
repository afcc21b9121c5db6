"""Parts of the body that hold neither mediastinum nor abdomen: a head and a pair of legs, for tests of refusals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ctlymph.core.volume import Geometry, Volume
from ctlymph.phantom.body.fat import FatStructure
from ctlymph.phantom.body.parts import BodyPart
from ctlymph.phantom.body.physique import Physique
from ctlymph.phantom.body.shapes import Offset, Solid, Subtraction, Union, joined
from ctlymph.phantom.scan.patient import PhantomSpec
from ctlymph.phantom.scan.scanner import Scanner, scan


def make_head(spec: PhantomSpec) -> Volume:
    """Make a head from chin to vertex: scalp, skull, brain with ventricles, face with airways and teeth.

    ``spec.z_range_mm``, ``fov_mm`` and ``contrast`` are not used.
    """
    physique = _physique(spec)
    skin = _skin_of_head(physique)
    return _scanned(_head_parts(physique, skin), skin, "HEAD", spec, (-78.0, 128.0))


def make_legs(spec: PhantomSpec) -> Volume:
    """Make two thighs and knees: skin, fat, muscles, femur and tibia with marrow, vessels.

    ``spec.z_range_mm``, ``fov_mm`` and ``contrast`` are not used.
    """
    physique = _physique(spec)
    legs = [_leg(physique, side) for side in (-1, 1)]
    skin = Union(tuple(leg[0].solid for leg in legs))
    # Tissue by tissue, since the two thighs may touch.
    parts = [part for pair in zip(*legs, strict=True) for part in pair]
    return _scanned(parts, skin, "LEGS", spec, (-120.0, 240.0))


def _physique(spec: PhantomSpec) -> Physique:
    return Physique.sampled(np.random.default_rng([spec.seed, 4]), contrast=False)


def _scanned(parts: Sequence[BodyPart], skin: Solid, name: str, spec: PhantomSpec, z_mm: tuple[float, float]) -> Volume:
    low, high = skin.bounds
    spacing = np.array(spec.spacing_mm)
    x, y = (int(np.ceil((high[n] - low[n] + 24) / spacing[n])) for n in range(2))
    z = round((z_mm[1] - z_mm[0]) / spacing[2]) + 1
    geometry = Geometry((z, y, x), np.array([low[0] - 12, low[1] - 12, z_mm[0]]), spacing)
    scanner = Scanner.sampled(spec.seed, spec.kernel, spec.noise_hu, spec.thickness_mm)
    return Volume(
        scan(parts, geometry, scanner, FatStructure.sampled(spec.seed)),
        geometry,
        f"PHANTOM_{name}",
        ("This CT is synthetic.",),
    )


def _skin_of_head(physique: Physique) -> Solid:
    face = Union(
        (physique.ellipsoid((0, -36, -20), (62, 66, 66)), physique.tube([(0, -98, -2, 9), (0, -108, -16, 10)])), 12.0
    )
    neck = physique.tube([(0, 20, -140, 58), (0, 14, -60, 58)])
    return Union((physique.ellipsoid((0, 0, 40), (78, 98, 88)), face, neck), 25.0)


def _head_parts(physique: Physique, skin: Solid) -> list[BodyPart]:
    t = physique.tissues
    vault = physique.ellipsoid((0, 0, 46), (71, 90, 73))
    brain = Offset(vault, -6.5)
    mandible = [
        physique.tube([(side * 50, -8, -16, 6), (side * 47, -20, -52, 7), (side * 30, -66, -62, 7), (0, -86, -62, 7)])
        for side in (-1, 1)
    ]
    cheeks = [
        physique.tube([(side * 22, -72, 0, 9), (side * 48, -58, 0, 7), (side * 64, -20, 4, 4)]) for side in (-1, 1)
    ]
    teeth = [physique.tube([(side * 24, -54, -38, 5), (side * 16, -76, -38, 5), (0, -84, -38, 5)]) for side in (-1, 1)]
    ventricles = [
        physique.tube([(side * 12, -34, 44, 6), (side * 9, -4, 56, 7), (side * 18, 30, 46, 7)]) for side in (-1, 1)
    ]
    sinuses = Union(tuple(physique.ellipsoid((side * 28, -64, -12), (13, 17, 16)) for side in (-1, 1)))
    nose = physique.tube([(0, -92, -6, 6), (0, -62, -14, 9), (0, -38, -28, 9), (0, -26, -62, 8), (0, -30, -140, 9)])
    eyes = [physique.ellipsoid((side * 32, -76, 18), (12, 12, 12)) for side in (-1, 1)]
    return [
        BodyPart("skin", "surroundings", skin, t.skin),
        BodyPart("fat under the skin", "fat", Offset(skin, -2.0), t.fat),
        BodyPart("muscles of face and neck", "muscle", Offset(skin, -6.0), t.muscle),
        BodyPart("spine", "bone", physique.tube([(0, 26, -140, 12), (0, 22, -40, 12)]), t.cortex - 150),
        BodyPart("skull", "bone", vault, t.cortex + 350),
        BodyPart("diploe", "bone", Subtraction(Offset(vault, -2.0), (Offset(vault, -4.5),)), t.cortex - 100),
        BodyPart("jaws", "bone", joined([*mandible, *cheeks]), t.cortex + 150),
        BodyPart("teeth", "bone", joined(teeth), 1800.0),
        BodyPart("fluid about the brain", "organ", brain, 12.0),
        BodyPart("brain", "organ", physique.uneven(Offset(brain, -3.0), 2.5, 16), 36.0),
        BodyPart("ventricles", "organ", joined(ventricles), 8.0),
        BodyPart("sinuses", "airway", sinuses, t.air),
        BodyPart("nose and throat", "airway", nose, t.air),
        BodyPart("eyes", "organ", Union(tuple(eyes)), 20.0),
    ]


def _leg(physique: Physique, side: int) -> list[BodyPart]:
    t = physique.tissues

    def tube(*rows: tuple[float, float, float, float]) -> Solid:
        return physique.tube([(side * x, y, z, radius) for x, y, z, radius in rows])

    skin = tube((92, 0, 290, 84), (90, 0, 180, 76), (86, 2, 60, 62), (84, 4, -20, 54), (84, 8, -160, 52))
    femur = tube((104, 0, 290, 15), (96, -4, 150, 14), (88, 0, 30, 16), (84, 0, -10, 27), (84, 0, -22, 27))
    tibia = tube((84, 2, -52, 25), (84, 2, -70, 20), (86, 0, -160, 14))
    sheath = physique.uneven(Offset(skin, -11.0 - 3 * physique.fat), 3.0, 60)
    sheets = [Offset(tube((70, 30, 290, 26), (72, 32, 120, 24), (70, 36, 0, 12)), grow) for grow in (1.5, 0.0)]
    return [
        BodyPart("skin", "surroundings", skin, t.skin),
        BodyPart("fat", "fat", Offset(skin, -2.0), t.fat),
        BodyPart("muscle", "muscle", sheath, t.muscle),
        BodyPart("fat about the hamstrings", "fat", sheets[0], t.fat),
        BodyPart("hamstrings", "muscle", sheets[1], t.muscle),
        BodyPart("femoral artery", "vessel", tube((66, -30, 290, 4), (64, -8, 100, 4), (84, 34, -40, 3.5)), t.artery),
        *(
            BodyPart(name, "bone", solid, hu)
            for bone, name in ((femur, "femur"), (tibia, "tibia"))
            for solid, hu in ((bone, t.cortex + 500), (Offset(bone, -5.0), -20.0))
        ),
        BodyPart("kneecap", "bone", physique.ellipsoid((side * 84, -38, -18), (20, 9, 21)), t.cortex - 150),
    ]
