"""Stages at work on cases, with all that they give kept.

Every scene, observation, model and list of candidates lies under a name that says what it was made from. What is there
is not made again, so that a run that was killed goes on, and a change of one stage leaves what came before it standing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ctlymph.core.errors import CtlymphError
from ctlymph.core.progress import SILENT, Progress
from ctlymph.detectors.base import (
    NO_CANDIDATES,
    Arrays,
    Candidates,
    DetectionContext,
    FixedStage,
    Floats,
    Resumable,
    Stage,
    System,
    TrueNodes,
)
from ctlymph.detectors.model_store import dump_part, load_part
from ctlymph.io.atomic import new_file
from ctlymph.training.cache_keys import code_of, digest_of
from ctlymph.training.cases import read_context, read_nodes, write_context
from ctlymph.training.peak_memory import peak_mb, reset_peak

Do = Callable[[Callable[..., Any], Sequence[tuple[Any, ...]]], Iterator[Any]]
"""Calls a function with each tuple of arguments."""

INNER_FOLDS = 3
_NOTHING = "nothing"
"""Name of the empty candidates that the first stage is given."""


class Case(Protocol):
    """A CT to learn from or to be tested on; plain values, so that it can go to another process."""

    @property
    def name(self) -> str:
        """What it is called."""
        ...

    @property
    def patient(self) -> str:
        """What all cases of one patient share."""
        ...

    @property
    def region(self) -> str:
        """Where it is looked at."""
        ...

    def digest(self) -> str:
        """Tell this case, as its files are now, from every other."""
        ...

    def load(self) -> tuple[DetectionContext, TrueNodes]:
        """Read it."""
        ...


@dataclass(frozen=True, eq=False)
class Found:
    """What a system gave for one case.

    Attributes:
        candidates: By falling score.
        seconds: Computing time of its stages, on one core unless a stage uses more; without reading and anatomy.
        peak_mb: The most memory that the process held meanwhile, libraries included; NaN where the system cannot tell.
    """

    candidates: Candidates
    seconds: float
    peak_mb: float


def one_by_one(function: Callable[..., Any], work: Sequence[tuple[Any, ...]]) -> Iterator[Any]:
    """Call a function with each tuple of arguments, in this process."""
    return (function(*arguments) for arguments in work)


@dataclass(frozen=True)
class StageCache:
    """Where stages learn and are applied.

    Attributes:
        folder: Where all is kept.
        seed: For whatever is drawn.
        do: Who does the work, perhaps in several processes.
        progress: Where to show the advance.
    """

    folder: Path
    seed: int = 0
    do: Do = one_by_one
    progress: Progress = SILENT

    def load(self, cases: Sequence[Case]) -> dict[str, str]:
        """Read cases that have not been read yet.

        Returns:
            Of each case that cannot be worked on its name, and why.
        """
        work = [(self.folder, case) for case in cases if not _context_path(self.folder, case).exists()]
        found: dict[str, str] = {}
        for name, why in self._done("reading", _try_to_load, work):
            if why:
                found[name] = why
        return found

    def context(self, case: Case) -> tuple[DetectionContext, TrueNodes]:
        """Give a case as the stages see it.

        Raises:
            CtlymphError: As the case's ``look``.
        """
        return _context(self.folder, case)

    def nodes(self, case: Case) -> TrueNodes:
        """Give a case's nodes alone, without masks.

        Raises:
            CtlymphError: As the case's ``look``.
        """
        path = _context_path(self.folder, case)
        return read_nodes(path) if path.exists() else self.context(case)[1]

    def fit(self, system: System, cases: Sequence[Case]) -> tuple[str, ...]:
        """Let the stages of a system learn, one after the other.

        Each but the first learns from what the one before gives for patients that it has not learned from: these are
        dealt out to :data:`INNER_FOLDS`, and for each of these the stage learns from the others. The classifier also
        learns from candidates put onto enlarged nodes that the generator has missed, as in Roth 2014.

        Returns:
            The name of each stage's model.

        Raises:
            CtlymphError: If there are too few patients, or they teach nothing.
        """
        stages = system.stages
        patients = {case.patient: None for case in cases}
        if len(patients) < INNER_FOLDS and system.is_trainable:
            raise CtlymphError(f"{len(patients)} patients are too few to learn from; give {INNER_FOLDS} or more")
        fold_of = {patient: number % INNER_FOLDS for number, patient in enumerate(patients)}
        fold = np.array([fold_of[case.patient] for case in cases])
        given = [_NOTHING] * len(cases)
        models = []
        for number, stage in enumerate(stages):
            if number == len(system.generator):
                given = [self._with_missed(case, each) for case, each in zip(cases, given, strict=True)]
            extracted = np.array(self._extracted(stage, cases, given))
            is_last = all(isinstance(later, FixedStage) for later in stages[number + 1 :])
            parts = [extracted] + ([] if is_last else [extracted[fold != held] for held in range(INNER_FOLDS)])
            model, *held_out = self._models(stage, parts)
            models.append(model)
            if held_out:
                given = self._predicted(stage, [held_out[held] for held in fold], cases, given)
        return tuple(models)

    def predict(
        self, stages: Sequence[Stage], models: Sequence[str], cases: Sequence[Case], given: Sequence[str] = ()
    ) -> list[Found]:
        """Give the candidates of cases, by the models that :meth:`fit` named.

        Args:
            stages: Of a system.
            models: Of each stage.
            cases: To be worked on.
            given: What the first stage is given for each case, by :meth:`put`; nothing by default.
        """
        names = list(given) or [_NOTHING] * len(cases)
        costs = np.zeros((len(cases), 2))
        for stage, model in zip(stages, models, strict=True):
            names = self._predicted(stage, [model] * len(cases), cases, names)
            for row, name in enumerate(names):
                seconds, peak = _read_arrays(_place(self.folder, name, ".npz"))["costs"]
                costs[row] = costs[row, 0] + seconds, np.maximum(costs[row, 1], peak)
        return [
            Found(_read_candidates(self.folder, name), float(seconds), float(peak))
            for name, (seconds, peak) in zip(names, costs, strict=True)
        ]

    def store(self, candidates: Candidates) -> str:
        """Keep candidates that no stage has given, and name them."""
        arrays = _arrays_of(candidates)
        name = digest_of("put", {key: values.tolist() for key, values in arrays.items()})
        if not _place(self.folder, name, ".npz").exists():
            _write_arrays(_place(self.folder, name, ".npz"), arrays)
        return name

    def model(self, name: str) -> dict[str, Any]:
        """Give what a stage has learned, by the name that :meth:`fit` gave."""
        return load_part(_place(self.folder, name, ".skops"))

    def _with_missed(self, case: Case, given: str) -> str:
        """Put candidates onto the nodes that a generator has missed, first, for a stage may look at the best alone."""
        candidates = _read_candidates(self.folder, given)
        missed = self.nodes(case).missed(candidates)
        if not len(missed):
            return given
        both = [(getattr(missed, name), getattr(candidates, name)) for name in ("points_mm", "scores", "radii_mm")]
        points_mm, scores, radii_mm = (np.concatenate(each) for each in both)
        scores[: len(missed)] = 1.0
        return self.store(Candidates(points_mm, scores, radii_mm))

    def _extracted(self, stage: Stage, cases: Sequence[Case], given: Sequence[str]) -> list[str]:
        if isinstance(stage, FixedStage):
            return [_NOTHING] * len(cases)
        names = [
            digest_of("observed", *_settings(stage), case.digest(), each)
            for case, each in zip(cases, given, strict=True)
        ]
        work = [
            (self.folder, stage, case, each, name)
            for case, each, name in zip(cases, given, names, strict=True)
            if not _place(self.folder, name, ".npz").exists()
        ]
        self._do(f"{stage.name}: looking", _extract, work)
        return names

    def _models(self, stage: Stage, extracted: Sequence[Sequence[str]]) -> list[str]:
        """Let a stage learn several times, each time from other cases."""
        seen = [[] if isinstance(stage, FixedStage) else list(each) for each in extracted]
        names = [digest_of("model", *_settings(stage), self.seed, each) for each in seen]
        todo = {
            name: each
            for each, name in zip(seen, names, strict=True)
            if not _place(self.folder, name, ".skops").exists()
        }
        if isinstance(stage, Resumable):  # in this process: it may take all cores or the GPU, and shows how far it is
            for name, each in todo.items():
                _fit_resumable(self.folder, stage, each, self.seed, name, self.progress)
        else:
            work = [(self.folder, stage, each, self.seed, name) for name, each in todo.items()]
            self._do(f"{stage.name}: learning", _fit, work)
        return names

    def _predicted(self, stage: Stage, models: Sequence[str], cases: Sequence[Case], given: Sequence[str]) -> list[str]:
        names = [
            digest_of("applied", *_settings(stage), model, case.digest(), each)
            for model, case, each in zip(models, cases, given, strict=True)
        ]
        work = [
            (self.folder, stage, model, case, each, name)
            for model, case, each, name in zip(models, cases, given, names, strict=True)
            if not _place(self.folder, name, ".npz").exists()
        ]
        self._do(f"{stage.name}: finding", _predict, work)
        return names

    def _do(self, what: str, function: Callable[..., None], work: Sequence[tuple[Any, ...]]) -> None:
        for _ in self._done(what, function, work):
            pass

    def _done(self, what: str, function: Callable[..., Any], work: Sequence[tuple[Any, ...]]) -> Iterator[Any]:
        if work:
            with self.progress.task(what, len(work)) as advance:
                for result in self.do(function, work):
                    advance(1)
                    yield result


def _settings(stage: Stage) -> tuple[str, str]:
    """Tell a stage, its settings and its code, from every other."""
    return repr(stage), code_of(type(stage).__module__)


def _try_to_load(folder: Path, case: Case) -> tuple[str, str]:
    try:
        _context(folder, case)
    except CtlymphError as error:
        return case.name, str(error)
    return case.name, ""


def _extract(folder: Path, stage: Stage, case: Case, given: str, name: str) -> None:
    context, truth = _context(folder, case)
    _write_arrays(_place(folder, name, ".npz"), stage.extract(context, _read_candidates(folder, given), truth))


def _fit(folder: Path, stage: Stage, extracted: Sequence[str], seed: int, name: str) -> None:
    seen = [_read_arrays(_place(folder, each, ".npz")) for each in extracted]
    dump_part(_place(folder, name, ".skops"), stage.fit(seen, seed))


def _fit_resumable(
    folder: Path, stage: Resumable, extracted: Sequence[str], seed: int, name: str, progress: Progress
) -> None:
    seen = [_read_arrays(_place(folder, each, ".npz")) for each in extracted]
    halfway = _place(folder, name, ".learning")
    halfway.mkdir(parents=True, exist_ok=True)
    dump_part(_place(folder, name, ".skops"), stage.fit_resumable(seen, seed, halfway, progress))


def _predict(folder: Path, stage: Stage, model: str, case: Case, given: str, name: str) -> None:
    context, _ = _context(folder, case)
    part = load_part(_place(folder, model, ".skops"))
    candidates = _read_candidates(folder, given)
    reset_peak()
    start = time.perf_counter()
    found = stage.predict(part, context, candidates)
    costs = np.array([time.perf_counter() - start, peak_mb()])
    _write_arrays(_place(folder, name, ".npz"), {**_arrays_of(found), "costs": costs})


def _context(folder: Path, case: Case) -> tuple[DetectionContext, TrueNodes]:
    path = _context_path(folder, case)
    if not path.exists():
        with new_file(path, overwrite=True) as staging:
            write_context(staging, *case.load())
    return read_context(path)


def _context_path(folder: Path, case: Case) -> Path:
    return _place(folder, digest_of("scene", code_of(type(case).__module__), case.digest()), ".npz")


def _arrays_of(candidates: Candidates) -> Arrays:
    extra = {f"extra_{key}": values for key, values in candidates.extra.items()}
    return {
        "points_mm": candidates.points_mm,
        "scores": candidates.scores,
        "radii_mm": candidates.radii_mm,
        **extra,
    }


def _read_candidates(folder: Path, name: str) -> Candidates:
    if name == _NOTHING:
        return NO_CANDIDATES
    arrays = _read_arrays(_place(folder, name, ".npz"))
    extra = {key.removeprefix("extra_"): values for key, values in arrays.items() if key.startswith("extra_")}
    points: Floats = arrays["points_mm"]
    return Candidates(points, arrays["scores"], arrays["radii_mm"], extra)


def _place(folder: Path, name: str, suffix: str) -> Path:
    return folder / name[:2] / f"{name}{suffix}"


def _write_arrays(path: Path, arrays: Arrays) -> None:
    with new_file(path, overwrite=True) as staging:
        np.savez(staging, **arrays)  # type: ignore[arg-type]


def _read_arrays(path: Path) -> Arrays:
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}
