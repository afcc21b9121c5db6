"""How well nodes are followed over time: ``python benchmarks/following.py COLLECTION``.

COLLECTION is what ``ctlymph phantom -o COLLECTION --cases 20 --timepoints 3 --seed 6`` makes. The nodes are the
annotated ones with their true masks, so that nothing but the following is judged. A node's identity is right if all
the parents that it has in truth are found, and no other; where a true parent was not annotated, its own parents stand
for it. The patients are synthetic, and breathe and lie more alike than real ones do.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from ctlymph.core.nodes import LymphNode
from ctlymph.core.volume import Masks, Volume
from ctlymph.datasets.case import Case, Collection
from ctlymph.followup.course import Course, NodeRef, Visit
from ctlymph.followup.node_matching import match_nodes
from ctlymph.followup.recist import assess_response
from ctlymph.followup.registration import register
from ctlymph.measurement.axes import measure_masks

LARGE_MM = 10.0
Parents = Mapping[NodeRef, tuple[NodeRef, ...]]


@dataclass
class Tally:
    """What was counted over the cases."""

    nodes: int = 0
    right: int = 0
    events: dict[str, list[bool]] = field(default_factory=dict)
    categories: dict[str, list[bool]] = field(default_factory=dict)
    correlations: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def add(self, event: str, found: bool) -> None:
        """Count something that happened, and whether it was found."""
        self.events.setdefault(event, []).append(found)


def main() -> None:
    """Follow the nodes of each case, print the errors of each and the shares of all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("collection", type=Path)
    parser.add_argument("--cases", nargs="*", default=[], help="only these")
    options = parser.parse_args()
    folders = sorted(options.collection.glob("timepoint_*"))
    scans = [{case.name: case for case in Collection(folder).cases()} for folder in folders]
    tally = Tally()
    for name in options.cases or list(scans[0]):
        cases = [scan[name] for scan in scans]
        links = lineage(options.collection / "truth" / f"{name}_lineage.csv")
        labels = [mask_labels(folder / "truth" / f"{name}.csv") for folder in folders]
        course, sizes = follow(cases, tally)
        truth = true_parents(course, links, labels)
        judge(name, course, truth, sizes, tally)
        shorts = true_shorts(options.collection / "truth" / f"{name}_lineage.csv", labels)
        compare_responses(course, truth, shorts, tally)
    print(f"\n{tally.right} of {tally.nodes} identities right ({tally.right / tally.nodes:.1%})")
    for event, found in sorted(tally.events.items()):
        print(f"{event}: {sum(found)} of {len(found)} found")
    for what, same in tally.categories.items():
        print(f"{sum(same)} of {len(same)} RECIST categories as by {what}")
    print(f"correlation {min(tally.correlations):.2f} to {max(tally.agreements):.2f}")
    print(f"{np.median(tally.seconds):.1f} s of processor time an registration, at most {max(tally.seconds):.1f} s")


def lineage(path: Path) -> dict[NodeRef, tuple[NodeRef, ...]]:
    """Read which node came from which, by their numbers in truth."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = [(int(row["timepoint"]), int(row["node"]), row["parents"].split()) for row in csv.DictReader(file)]
    return {(visit, node): tuple((visit - 1, int(parent)) for parent in parents) for visit, node, parents in rows}


def mask_labels(path: Path) -> dict[int, int]:
    """Read the mask's label of each annotated node, by its number in truth."""
    with path.open(encoding="utf-8", newline="") as file:
        return {int(row["node"]): int(row["mask"]) for row in csv.DictReader(file) if row["mask"]}


def follow(cases: list[Case], tally: Tally) -> tuple[Course, dict[NodeRef, float]]:
    """Read the scans of a patient and follow the nodes; give their short axes, too."""
    visits: list[Visit] = []
    masks: list[Masks] = []
    registrations = []
    former: Volume | None = None
    for number, case in enumerate(cases):
        ct = case.ct()
        masks.append(case.masks(ct))
        visits.append(Visit(number, f"time point {number}", None, tuple(measure_masks(ct, masks[-1]))))
        if former is not None:
            start = time.process_time()
            registrations.append(register(former, ct))
            tally.seconds.append(time.process_time() - start)
            tally.correlations.append(registrations[-1].correlation)
        former = ct
    sizes = {(visit.number, node.node): node.sizes.short_axis.length_mm for visit in visits for node in visit.nodes}
    return match_nodes(visits, masks, registrations), sizes


def true_parents(course: Course, links: Parents, labels: list[dict[int, int]]) -> Parents:
    """Give the true parents of each node that is in the masks, by the masks' labels."""
    there = {(visit.number, node.node) for visit in course.visits for node in visit.nodes}

    def shown(ref: NodeRef) -> NodeRef | None:
        label = labels[ref[0]].get(ref[1])
        return (ref[0], label) if label and (ref[0], label) in there else None

    def annotated(refs: tuple[NodeRef, ...]) -> set[NodeRef]:
        found: set[NodeRef] = set()
        for ref in refs:
            label = shown(ref)
            found |= {label} if label else annotated(links[ref])
        return found

    mine = {label: ref for ref in links if ref[0] and (label := shown(ref))}
    return {label: tuple(sorted(annotated(links[ref]))) for label, ref in mine.items()}


def judge(name: str, course: Course, truth: Parents, sizes: Mapping[NodeRef, float], tally: Tally) -> None:
    """Compare what was found with the truth; print what differs."""
    wrong = [ref for ref in truth if course.parents[ref] != truth[ref]]
    tally.nodes += len(truth)
    tally.right += len(truth) - len(wrong)
    counted = len(course.visits), sum(len(visit.nodes) for visit in course.visits)
    print(f"{name}: {counted[1]} nodes in {counted[0]} scans, {len(wrong)} wrong", flush=True)
    for ref in wrong:
        print(f"  {ref} of {sizes[ref]:.0f} mm: found {course.parents[ref]}, true {truth[ref]}")
    for ref, parents in truth.items():
        kind = "new" if not parents else "merged" if len(parents) > 1 else ""
        if kind:
            tally.add(f"{kind}{_size(sizes[ref])}", course.parents[ref] == parents)
    for parent in sizes:
        children = tuple(sorted(ref for ref in truth if parent in truth[ref]))
        kind = "split" if len(children) > 1 else "vanished" if not children else ""
        if kind and parent[0] + 1 < len(course.visits):
            tally.add(f"{kind}{_size(sizes[parent])}", course.children(parent) == children)


def true_shorts(path: Path, labels: list[dict[int, int]]) -> dict[NodeRef, float]:
    """Read the true short axis of each annotated node, by the mask's label, mm."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = [(int(row["timepoint"]), int(row["node"]), float(row["short_axis_mm"])) for row in csv.DictReader(file)]
    return {(visit, labels[visit][node]): short for visit, node, short in rows if labels[visit].get(node)}


def compare_responses(course: Course, truth: Parents, shorts: Mapping[NodeRef, float], tally: Tally) -> None:
    """Compare the categories with those of the true lineage, by the same sizes and by the shapes' own short axes.

    The shapes' own sizes choose other targets where two nodes are alike or one is near to 15 mm: so they are asked
    twice, with targets of their own, and with those that the measured sizes choose.
    """

    def true(visit: int, node: LymphNode) -> LymphNode:
        short = replace(node.sizes.short_axis, length_mm=shorts[visit, node.node])
        return replace(node, sizes=replace(node.sizes, short_axis=short))

    visits = [replace(each, nodes=tuple(true(each.number, node) for node in each.nodes)) for each in course.visits]
    found, own = assess_response(course), Course(tuple(visits), dict(truth))
    for what, right in (
        ("the true lineage", assess_response(Course(course.visits, dict(truth)))),
        ("the true lineage and the shapes' own sizes", assess_response(own)),
        ("the same for the same targets", assess_response(own, found.roles)),
    ):
        for mine, wanted in zip(found.assessments[1:], right.assessments[1:], strict=True):
            tally.categories.setdefault(what, []).append(mine.category == wanted.category)
            if mine.category != wanted.category:
                print(f"  visit {mine.visit}: {mine.category} ({'; '.join(mine.reasons)})")
                print(f"    by {what}: {wanted.category} ({'; '.join(wanted.reasons)})")


def _size(short_mm: float) -> str:
    return f" (of {LARGE_MM:.0f} mm and more)" if short_mm >= LARGE_MM else " (smaller)"


if __name__ == "__main__":
    main()
