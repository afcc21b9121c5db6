"""What may be learned from in a round of cross-validation."""

from __future__ import annotations

from dataclasses import dataclass

from contexts import scene_with_nodes
from ctlymph.datasets.folds import Folds
from ctlymph.detectors.base import DetectionContext, TrueNodes
from ctlymph.training.cross_validation import Split


@dataclass(frozen=True)
class Named:
    """A case that is nothing but its name."""

    name: str
    region: str = "mediastinum"

    def digest(self) -> str:
        return self.name

    def load(self) -> tuple[DetectionContext, TrueNodes]:
        return scene_with_nodes(1)


A, B, C, BROKEN = Named("A"), Named("B"), Named("C"), Named("BROKEN")
A_BELOW, C_BELOW = Named("A below", "abdomen"), Named("C below", "abdomen")
OTHER, OTHER_BELOW = Named("A"), Named("C below", "abdomen")  # of another collection: names may come again
TRIAL = Split(
    cases=[A, B, C, BROKEN],
    folds=Folds((("A", "A below"), ("B", "BROKEN"), ("C", "C below"))),
    unreadable={"BROKEN": "it cannot be read"},
    all_regions=[A, B, C, BROKEN, A_BELOW, C_BELOW],
    extra_train=[OTHER, OTHER_BELOW],
)


def test_a_round_learns_from_other_folds_and_other_collections() -> None:
    assert TRIAL.test_cases(0) == [A]
    assert TRIAL.train_cases(0) == [B, C, OTHER]
    assert TRIAL.train_cases(None) == [A, B, C, OTHER]


def test_regions_that_learn_together_leave_out_the_tested_patients_in_all_regions() -> None:
    assert TRIAL.train_cases(0, joint=True) == [B, C, C_BELOW, OTHER, OTHER_BELOW]
    assert TRIAL.train_cases(2, joint=True) == [A, B, A_BELOW, OTHER, OTHER_BELOW]
    assert TRIAL.train_cases(None, joint=True) == [A, B, C, A_BELOW, C_BELOW, OTHER, OTHER_BELOW]
