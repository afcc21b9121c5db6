"""What a standard set of synthetic cases holds, without scanning anybody: nodes, scans and contrast, as a table.

Run ``python benchmarks/sets.py small`` or ``full``; a patient takes some ten seconds of one core.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from ctlymph.core.regions import REGIONS
from ctlymph.phantom.collection.collection_files import COLLECTION_SIZES, SET_SEED
from ctlymph.phantom.collection.patients import PhantomOptions, PhantomPatient, phantom_patients, region_of
from ctlymph.phantom.nodes.growth import node_generations
from ctlymph.phantom.nodes.patient_anatomy import Body
from ctlymph.phantom.nodes.placement import make_nodes


@dataclass(frozen=True)
class Held:
    """One case: its region, the short axes of its annotated nodes, mm, and how it is scanned."""

    region: str
    short_mm: tuple[float, ...]
    slices: int
    slice_mm: float
    contrast: bool
    kernel: str


def held(patient: PhantomPatient) -> list[Held]:
    """Give the cases of one patient."""
    spec = patient.spec
    body = Body.of(spec.seed, contrast=spec.contrast)
    low, high = (float(z * body.trunk.physique.scale[2]) for z in spec.z_range_mm)
    nodes = make_nodes(body.placement_field, node_generations(spec.seed, body.placement_field, 1)[0].node_seeds)
    shown = [node for node in nodes if node.marked and low <= node.centre_mm[2] <= high]
    step = spec.spacing_mm[2]
    found = []
    for name in patient.names:
        own = tuple(node.short_axis_mm for node in shown if node.region == region_of(name))
        found.append(Held(region_of(name), own, round((high - low) / step) + 1, step, spec.contrast, spec.kernel))
    return found


def table(cases: list[Held]) -> list[str]:
    """Give the lines of a table in Markdown, a column a region."""
    groups = [[case for case in cases if case.region == region] for region in REGIONS]
    sizes = [np.array([size for case in group for size in case.short_mm]) for group in groups]
    counts = [np.array([len(case.short_mm) for case in group]) for group in groups]
    rows: list[tuple[str, list[str]]] = [
        ("cases", [str(len(group)) for group in groups]),
        ("of these without an annotated node", [str((each == 0).sum()) for each in counts]),
        ("annotated nodes", [str(each.sum()) for each in counts]),
        ("of these 10 mm and more", [str((each >= 10).sum()) for each in sizes]),
        ("nodes a case: 25, 50, 75 %, most", [quantiles(each, (25, 50, 75, 100)) for each in counts]),
        ("short axis, mm: 5, 25, 50, 75, 95 %", [quantiles(each, (5, 25, 50, 75, 95)) for each in sizes]),
        ("slices: least, median, most", [quantiles([c.slices for c in group], (0, 50, 100)) for group in groups]),
        ("slices 1, 1.25, 5 mm apart", [shares(group, "slice_mm", (1.0, 1.25, 5.0)) for group in groups]),
        ("kernel soft, standard, sharp", [shares(group, "kernel", ("soft", "standard", "sharp")) for group in groups]),
        ("with contrast", [str(sum(case.contrast for case in group)) for group in groups]),
    ]
    return [f"| | {' | '.join(REGIONS)} |", "|---|---|---|", *(f"| {name} | {' | '.join(row)} |" for name, row in rows)]


def quantiles(values: object, at: tuple[int, ...]) -> str:
    return ", ".join(f"{value:.3g}" for value in np.percentile(np.asarray(values, dtype=float), at))


def shares(cases: list[Held], field: str, kinds: tuple[object, ...]) -> str:
    return ", ".join(str(sum(getattr(case, field) == kind for case in cases)) for kind in kinds)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", choices=list(COLLECTION_SIZES))
    parser.add_argument("--jobs", type=int, default=2)
    wanted = parser.parse_args()
    patients = phantom_patients(Path(), COLLECTION_SIZES[wanted.set], PhantomOptions(seed=SET_SEED))
    with get_context("spawn").Pool(wanted.jobs) as pool:
        cases = [case for found in pool.imap(held, patients) for case in found]
    print("\n".join(table(cases)))


if __name__ == "__main__":
    main()
