"""Cases as a map-style dataset for torch's ``DataLoader``, in plain numpy, so that nothing here needs torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctlymph.datasets.case import Case

Item = dict[str, Any]


@dataclass(frozen=True)
class CaseDataset:
    """Cases by index; each is read anew whenever it is asked for.

    An item is a dict:

    - ``case``: its name; ``region``: where its nodes are annotated.
    - ``image``: float32 ``(1, z, y, x)``, HU.
    - ``label``: int32 ``(1, z, y, x)``, 0 background, any other number one node; only with ``masks``.
    - ``points_mm``: float64 ``(nodes, 3)``, x, y, z of the annotated nodes, LPS mm.
    - ``sizes_mm``: float64 ``(nodes, 2)``, their short and long axis, mm; NaN where not known.
    - ``spacing_mm``: float64 ``(3,)``, distance of voxels along x, y, z of the array.
    - ``affine``: float64 ``(4, 4)``, maps ``i, j, k, 1`` (indices along x, y, z) to LPS mm.

    Cases differ in shape and in number of nodes: a ``DataLoader`` takes them one at a
    time (``batch_size=None``), or more once ``transform`` has cut them to one shape.

    Attributes:
        cases: What it holds, in order.
        transform: Called with each item; what it returns is given instead. It must be picklable for a
            ``DataLoader`` with workers that are spawned.
        masks: Whether to read the masks.
    """

    cases: Sequence[Case]
    transform: Callable[[Item], Any] | None = None
    masks: bool = True

    def __len__(self) -> int:
        return len(self.cases)

    def __getitem__(self, index: int) -> Any:
        """Read a case.

        Raises:
            IndexError: If there are fewer cases.
            CtlymphError: If its CT, its annotations or, if ``masks`` is set, its masks are absent or damaged.
        """
        case = self.cases[index]
        ct = case.ct()
        nodes = case.nodes()
        item: Item = {
            "case": case.name,
            "region": case.region,
            "image": ct.hu[None].astype(np.float32),
            "points_mm": _table([node.point_mm for node in nodes], 3),
            "sizes_mm": _table([(node.short_axis_mm, node.long_axis_mm) for node in nodes], 2),
            "spacing_mm": ct.geometry.spacing_mm.copy(),  # torch warns of arrays that cannot be written to
            "affine": ct.geometry.affine.copy(),
        }
        if self.masks:
            item["label"] = case.masks(ct).labels[None].astype(np.int32)  # few of torch's operations know uint16
        return self.transform(item) if self.transform else item


def _table(rows: Sequence[tuple[float | None, ...]], columns: int) -> NDArray[np.float64]:
    return np.array(rows, dtype=np.float64).reshape(len(rows), columns)
