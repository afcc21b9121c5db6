"""Parts of the body that hold neither mediastinum nor abdomen: a head and a pair of legs, for tests of refusals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ctlymph.core.volume import Geometry, Volume
from ctlymph.phantom.body.fat import FatStructure
from ctlymph.phantom.body.parts import Build, Part
from ctlymph.phantom.body.shapes import Grown, Solid, Union, Without, joined
from ctlymph.phantom.patient import PhantomSpec
from ctlymph.phantom.scan.scanner import Scanner, scan


def make_head(spec: PhantomSpec) -> Volume:
    """Make a head from chin to vertex: scalp, skull, brain with ventricles, face with airways and teeth.

    ``spec.z_range_mm``, ``fov_mm`` and ``contrast`` are not used.
    """
    build = _build(spec)
    skin = _skin_of_head(build)
    return _scanned(_head_parts(build, skin), skin, "HEAD", spec, (-78.0, 128.0))


def make_legs(spec: PhantomSpec) -> Volume:
    """Make two thighs and knees: skin, fat, muscles, femur and tibia with marrow, vessels.

    ``spec.z_range_mm``, ``fov_mm`` and ``contrast`` are not used.
    """
    build = _build(spec)
    legs = [_leg(build, side) for side in (-1, 1)]
    skin = Union(tuple(leg[0].solid for leg in legs))
    # Tissue by tissue, since the two thighs may touch.
    parts = [part for pair in zip(*legs, strict=True) for part in pair]
    return _scanned(parts, skin, "LEGS", spec, (-120.0, 240.0))


def _build(spec: PhantomSpec) -> Build:
    return Build.drawn(np.random.default_rng([spec.seed, 4]), contrast=False)


def _scanned(parts: Sequence[Part], skin: Solid, name: str, spec: PhantomSpec, z_mm: tuple[float, float]) -> Volume:
    low, high = skin.bounds
    spacing = np.array(spec.spacing_mm)
    x, y = (int(np.ceil((high[n] - low[n] + 24) / spacing[n])) for n in range(2))
    z = round((z_mm[1] - z_mm[0]) / spacing[2]) + 1
    geometry = Geometry((z, y, x), np.array([low[0] - 12, low[1] - 12, z_mm[0]]), spacing)
    scanner = Scanner.drawn(spec.seed, spec.kernel, spec.noise_hu, spec.thickness_mm)
    return Volume(
        scan(parts, geometry, scanner, FatStructure.drawn(spec.seed)),
        geometry,
        f"PHANTOM_{name}",
        ("This CT is synthetic.",),
    )


def _skin_of_head(build: Build) -> Solid:
    face = Union(
        (build.ellipsoid((0, -36, -20), (62, 66, 66)), build.tube([(0, -98, -2, 9), (0, -108, -16, 10)])), 12.0
    )
    neck = build.tube([(0, 20, -140, 58), (0, 14, -60, 58)])
    return Union((build.ellipsoid((0, 0, 40), (78, 98, 88)), face, neck), 25.0)


def _head_parts(build: Build, skin: Solid) -> list[Part]:
    t = build.tissues
    vault = build.ellipsoid((0, 0, 46), (71, 90, 73))
    brain = Grown(vault, -6.5)
    mandible = [
        build.tube([(side * 50, -8, -16, 6), (side * 47, -20, -52, 7), (side * 30, -66, -62, 7), (0, -86, -62, 7)])
        for side in (-1, 1)
    ]
    cheeks = [build.tube([(side * 22, -72, 0, 9), (side * 48, -58, 0, 7), (side * 64, -20, 4, 4)]) for side in (-1, 1)]
    teeth = [build.tube([(side * 24, -54, -38, 5), (side * 16, -76, -38, 5), (0, -84, -38, 5)]) for side in (-1, 1)]
    ventricles = [
        build.tube([(side * 12, -34, 44, 6), (side * 9, -4, 56, 7), (side * 18, 30, 46, 7)]) for side in (-1, 1)
    ]
    sinuses = Union(tuple(build.ellipsoid((side * 28, -64, -12), (13, 17, 16)) for side in (-1, 1)))
    nose = build.tube([(0, -92, -6, 6), (0, -62, -14, 9), (0, -38, -28, 9), (0, -26, -62, 8), (0, -30, -140, 9)])
    eyes = [build.ellipsoid((side * 32, -76, 18), (12, 12, 12)) for side in (-1, 1)]
    return [
        Part("skin", "surroundings", skin, t.skin),
        Part("fat under the skin", "fat", Grown(skin, -2.0), t.fat),
        Part("muscles of face and neck", "muscle", Grown(skin, -6.0), t.muscle),
        Part("spine", "bone", build.tube([(0, 26, -140, 12), (0, 22, -40, 12)]), t.cortex - 150),
        Part("skull", "bone", vault, t.cortex + 350),
        Part("diploe", "bone", Without(Grown(vault, -2.0), (Grown(vault, -4.5),)), t.cortex - 100),
        Part("jaws", "bone", joined([*mandible, *cheeks]), t.cortex + 150),
        Part("teeth", "bone", joined(teeth), 1800.0),
        Part("fluid about the brain", "organ", brain, 12.0),
        Part("brain", "organ", build.uneven(Grown(brain, -3.0), 2.5, 16), 36.0),
        Part("ventricles", "organ", joined(ventricles), 8.0),
        Part("sinuses", "airway", sinuses, t.air),
        Part("nose and throat", "airway", nose, t.air),
        Part("eyes", "organ", Union(tuple(eyes)), 20.0),
    ]


def _leg(build: Build, side: int) -> list[Part]:
    t = build.tissues

    def tube(*rows: tuple[float, float, float, float]) -> Solid:
        return build.tube([(side * x, y, z, radius) for x, y, z, radius in rows])

    skin = tube((92, 0, 290, 84), (90, 0, 180, 76), (86, 2, 60, 62), (84, 4, -20, 54), (84, 8, -160, 52))
    femur = tube((104, 0, 290, 15), (96, -4, 150, 14), (88, 0, 30, 16), (84, 0, -10, 27), (84, 0, -22, 27))
    tibia = tube((84, 2, -52, 25), (84, 2, -70, 20), (86, 0, -160, 14))
    sheath = build.uneven(Grown(skin, -11.0 - 3 * build.fat), 3.0, 60)
    sheets = [Grown(tube((70, 30, 290, 26), (72, 32, 120, 24), (70, 36, 0, 12)), grow) for grow in (1.5, 0.0)]
    return [
        Part("skin", "surroundings", skin, t.skin),
        Part("fat", "fat", Grown(skin, -2.0), t.fat),
        Part("muscle", "muscle", sheath, t.muscle),
        Part("fat about the hamstrings", "fat", sheets[0], t.fat),
        Part("hamstrings", "muscle", sheets[1], t.muscle),
        Part("femoral artery", "vessel", tube((66, -30, 290, 4), (64, -8, 100, 4), (84, 34, -40, 3.5)), t.artery),
        *(
            Part(name, "bone", solid, hu)
            for bone, name in ((femur, "femur"), (tibia, "tibia"))
            for solid, hu in ((bone, t.cortex + 500), (Grown(bone, -5.0), -20.0))
        ),
        Part("kneecap", "bone", build.ellipsoid((side * 84, -38, -18), (20, 9, 21)), t.cortex - 150),
    ]
