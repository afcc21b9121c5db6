"""A cache in which stages are trained and used, and nothing is computed twice.

Every context, every stage's training examples, model and candidates are files named by keys that say what they were
computed from. An interrupted run goes on where it stopped, and a changed stage leaves those before it as they are.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
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
    Resumable,
    Stage,
    System,
    Trainable,
    TrueNodes,
    extract,
    predict,
)
from ctlymph.detectors.model_store import dump_part, load_part
from ctlymph.io.atomic import new_file
from ctlymph.nn.run_context import Device, RunContext
from ctlymph.training.cache_keys import digest_of, stage_key
from ctlymph.training.cases import CONTEXT_VERSION, read_context, read_nodes, write_context
from ctlymph.training.peak_memory import peak_mb, reset_peak

Executor = Callable[[Callable[..., Any], Sequence[tuple[Any, ...]]], Iterator[Any]]
"""Calls a function with each tuple of arguments, perhaps in several processes, and yields what it returns."""

INNER_FOLDS = 3
_NO_KEY = "nothing"
"""Key of the empty candidates that the first stage gets, and of the examples of a stage that is not trained."""


class TrainingCase(Protocol):
    """A CT for training or testing; it is pickled to reach other processes."""

    @property
    def name(self) -> str:
        """Its name."""
        ...

    @property
    def patient(self) -> str:
        """What all cases of one patient share."""
        ...

    @property
    def region(self) -> str:
        """The region that is searched."""
        ...

    def digest(self) -> str:
        """Return a digest of this case and its files as they are now."""
        ...

    def load(self) -> tuple[DetectionContext, TrueNodes]:
        """Read it."""
        ...


@dataclass(frozen=True, eq=False)
class Prediction:
    """What the stages of a detector return for one case.

    Attributes:
        candidates: By falling score.
        seconds: Computing time of the stages, on one core unless a stage uses more; without reading and anatomy.
        peak_mb: Most memory of the process meanwhile, libraries included; NaN where the system does not report it.
    """

    candidates: Candidates
    seconds: float
    peak_mb: float


def run_serially(function: Callable[..., Any], work: Sequence[tuple[Any, ...]]) -> Iterator[Any]:
    """Call a function with each tuple of arguments, in this process: the plainest :data:`Executor`."""
    return (function(*arguments) for arguments in work)


@dataclass(frozen=True)
class StageCache:
    """Trains and uses stages, and keeps all results.

    Attributes:
        folder: Where they are kept.
        seed: Of whatever is random.
        execute: Does the work, perhaps in several processes.
        progress: Where to show the advance.
        run: Where networks are trained and run; no part of any key.
    """

    folder: Path
    seed: int = 0
    execute: Executor = run_serially
    progress: Progress = SILENT
    run: RunContext = field(default_factory=RunContext)

    def load(self, cases: Sequence[TrainingCase]) -> dict[str, str]:
        """Read the cases that have not been read yet.

        Returns:
            The reason, by name, of each case that cannot be used.
        """
        work = [(self.folder, case) for case in cases if not _context_path(self.folder, case).exists()]
        return {name: reason for name, reason in self._run("reading", _try_to_load, work) if reason}

    def context(self, case: TrainingCase) -> tuple[DetectionContext, TrueNodes]:
        """Return a case as the stages get it, with its nodes.

        Raises:
            CtlymphError: As the case's ``load``.
        """
        return _context(self.folder, case)

    def nodes(self, case: TrainingCase) -> TrueNodes:
        """Return a case's nodes alone, without masks.

        Raises:
            CtlymphError: As the case's ``load``.
        """
        path = _context_path(self.folder, case)
        return read_nodes(path) if path.exists() else self.context(case)[1]

    def fit(self, system: System, cases: Sequence[TrainingCase]) -> tuple[str, ...]:
        """Train the stages of a detector, one after the other.

        Every stage but the first is trained on what the stages before it return for patients that they were not
        trained on: patients are split into :data:`INNER_FOLDS` folds, and each stage is trained once more without each
        fold. The classifier is also trained on candidates placed on the enlarged nodes that the generator missed, as
        in Roth 2014.

        Returns:
            The key of each stage's model.

        Raises:
            CtlymphError: If there are too few patients, or a stage cannot be trained on them.
        """
        patients = {case.patient: None for case in cases}
        if len(patients) < INNER_FOLDS and system.is_trainable:
            raise CtlymphError(f"{len(patients)} patients are too few for training; give {INNER_FOLDS} or more")
        fold_of = {patient: number % INNER_FOLDS for number, patient in enumerate(patients)}
        fold = np.array([fold_of[case.patient] for case in cases])
        given = [_NO_KEY] * len(cases)
        models = []
        for number, stage in enumerate(system.stages):
            if number == len(system.generator):
                given = [self._with_missed(case, each) for case, each in zip(cases, given, strict=True)]
            extracted = np.array(self._extract_all(stage, cases, given))
            is_last = not any(isinstance(later, Trainable) for later in system.stages[number + 1 :])
            inner = [] if is_last else [extracted[fold != held_out] for held_out in range(INNER_FOLDS)]
            model, *inner_models = self._fit_all(stage, [each.tolist() for each in (extracted, *inner)])
            models.append(model)
            if inner_models:
                given = self._predict_all(stage, [inner_models[held_out] for held_out in fold], cases, given)
        return tuple(models)

    def predict(
        self, stages: Sequence[Stage], models: Sequence[str], cases: Sequence[TrainingCase], given: Sequence[str] = ()
    ) -> list[Prediction]:
        """Return the candidates of cases.

        Args:
            stages: Of a detector.
            models: The key of each stage's model, by :meth:`fit`.
            cases: Cases to search.
            given: The key of the candidates that the first stage gets for each case, by :meth:`store`; by default
                none.
        """
        keys = list(given) or [_NO_KEY] * len(cases)
        costs = np.zeros((len(cases), 2))
        for stage, model in zip(stages, models, strict=True):
            keys = self._predict_all(stage, [model] * len(cases), cases, keys)
            for row, key in enumerate(keys):
                seconds, peak = _read_arrays(_path(self.folder, key, ".npz"))["costs"]
                costs[row] = costs[row, 0] + seconds, np.maximum(costs[row, 1], peak)
        return [
            Prediction(_read_candidates(self.folder, key), float(seconds), float(peak))
            for key, (seconds, peak) in zip(keys, costs, strict=True)
        ]

    def store(self, candidates: Candidates) -> str:
        """Keep candidates that no stage has returned, and return their key."""
        arrays = _arrays_of(candidates)
        key = digest_of("stored", {name: values.tolist() for name, values in arrays.items()})
        if not _path(self.folder, key, ".npz").exists():
            _write_arrays(_path(self.folder, key, ".npz"), arrays)
        return key

    def model(self, key: str) -> dict[str, Any]:
        """Return a stage's model by the key that :meth:`fit` returned."""
        return load_part(_path(self.folder, key, ".skops"))

    def _with_missed(self, case: TrainingCase, given: str) -> str:
        """Add candidates on the nodes that a generator has missed; first, since a stage may use only the best."""
        candidates = _read_candidates(self.folder, given)
        missed = self.nodes(case).missed(candidates)
        if not len(missed):
            return given
        both = [(getattr(missed, name), getattr(candidates, name)) for name in ("points_mm", "scores", "radii_mm")]
        points_mm, scores, radii_mm = (np.concatenate(each) for each in both)
        scores[: len(missed)] = 1.0
        return self.store(Candidates(points_mm, scores, radii_mm))

    def _extract_all(self, stage: Stage, cases: Sequence[TrainingCase], given: Sequence[str]) -> list[str]:
        if not isinstance(stage, Trainable):
            return [_NO_KEY] * len(cases)
        keys = [
            digest_of("extracted", stage_key(stage), _context_key(case), each)
            for case, each in zip(cases, given, strict=True)
        ]
        work = [
            (self.folder, stage, case, each, key)
            for case, each, key in zip(cases, given, keys, strict=True)
            if not _path(self.folder, key, ".npz").exists()
        ]
        self._run_all(f"{stage.name}: extracting", _extract, work)
        return keys

    def _fit_all(self, stage: Stage, extracted: Sequence[Sequence[str]]) -> list[str]:
        """Train a stage several times, each time on other cases."""
        examples = [each if isinstance(stage, Trainable) else [] for each in extracted]
        keys = [digest_of("model", stage_key(stage), self.seed, each) for each in examples]
        todo = {
            key: each
            for each, key in zip(examples, keys, strict=True)
            if not _path(self.folder, key, ".skops").exists()
        }
        if isinstance(stage, Resumable):  # in this process: it may use all cores or the GPU, and shows its progress
            for key, each in todo.items():
                _fit_resumable(self.folder, stage, each, self.seed, key, self.progress, self.run.device)
        else:
            work = [(self.folder, stage, each, self.seed, key) for key, each in todo.items()]
            self._run_all(f"{stage.name}: training", _fit, work)
        return keys

    def _predict_all(
        self, stage: Stage, models: Sequence[str], cases: Sequence[TrainingCase], given: Sequence[str]
    ) -> list[str]:
        keys = [
            digest_of("predicted", stage_key(stage), model, _context_key(case), each)
            for model, case, each in zip(models, cases, given, strict=True)
        ]
        work = [
            (self.folder, stage, model, case, each, key, self.run)
            for model, case, each, key in zip(models, cases, given, keys, strict=True)
            if not _path(self.folder, key, ".npz").exists()
        ]
        self._run_all(f"{stage.name}: predicting", _predict, work)
        return keys

    def _run_all(self, title: str, function: Callable[..., None], work: Sequence[tuple[Any, ...]]) -> None:
        for _ in self._run(title, function, work):
            pass

    def _run(self, title: str, function: Callable[..., Any], work: Sequence[tuple[Any, ...]]) -> Iterator[Any]:
        if work:
            with self.progress.task(title, len(work)) as advance:
                for result in self.execute(function, work):
                    advance(1)
                    yield result


def _try_to_load(folder: Path, case: TrainingCase) -> tuple[str, str]:
    try:
        _context(folder, case)
    except CtlymphError as error:
        return case.name, str(error)
    return case.name, ""


def _extract(folder: Path, stage: Trainable, case: TrainingCase, given: str, key: str) -> None:
    context, truth = _context(folder, case)
    examples = extract(stage, context, _read_candidates(folder, given), truth)
    _write_arrays(_path(folder, key, ".npz"), examples if isinstance(examples, dict) else vars(examples))


def _read_examples(folder: Path, examples: type[Any], keys: Sequence[str]) -> list[Any]:
    return [examples(**_read_arrays(_path(folder, key, ".npz"))) for key in keys]


def _fit(folder: Path, stage: Stage, extracted: Sequence[str], seed: int, key: str) -> None:
    part: dict[str, Any] = {}
    if isinstance(stage, Trainable):
        part = stage.fit(_read_examples(folder, stage.examples, extracted), seed)
    dump_part(_path(folder, key, ".skops"), part)


def _fit_resumable(
    folder: Path,
    stage: Resumable,
    extracted: Sequence[str],
    seed: int,
    key: str,
    progress: Progress,
    device: Device,
) -> None:
    examples = _read_examples(folder, stage.examples, extracted)
    checkpoints = _path(folder, key, ".checkpoints")
    checkpoints.mkdir(parents=True, exist_ok=True)
    dump_part(_path(folder, key, ".skops"), stage.fit_resumable(examples, seed, checkpoints, progress, device))


def _predict(folder: Path, stage: Stage, model: str, case: TrainingCase, given: str, key: str, run: RunContext) -> None:
    context = replace(_context(folder, case)[0], run=run)
    part = load_part(_path(folder, model, ".skops"))
    candidates = _read_candidates(folder, given)
    reset_peak()
    start = time.perf_counter()
    predicted = predict(stage, part, context, candidates)
    costs = np.array([time.perf_counter() - start, peak_mb()])
    _write_arrays(_path(folder, key, ".npz"), {**_arrays_of(predicted), "costs": costs})


def _context(folder: Path, case: TrainingCase) -> tuple[DetectionContext, TrueNodes]:
    path = _context_path(folder, case)
    if not path.exists():
        with new_file(path, overwrite=True) as staging:
            write_context(staging, *case.load())
    return read_context(path)


def _context_key(case: TrainingCase) -> str:
    return digest_of("context", CONTEXT_VERSION, case.digest())


def _context_path(folder: Path, case: TrainingCase) -> Path:
    return _path(folder, _context_key(case), ".npz")


def _arrays_of(candidates: Candidates) -> Arrays:
    return {each.name: getattr(candidates, each.name) for each in fields(candidates)}


def _read_candidates(folder: Path, key: str) -> Candidates:
    if key == _NO_KEY:
        return NO_CANDIDATES
    arrays = _read_arrays(_path(folder, key, ".npz"))
    return Candidates(**{each.name: arrays[each.name] for each in fields(Candidates)})


def _path(folder: Path, key: str, suffix: str) -> Path:
    return folder / key[:2] / f"{key}{suffix}"


def _write_arrays(path: Path, arrays: Arrays) -> None:
    with new_file(path, overwrite=True) as staging:
        np.savez(staging, **arrays)  # type: ignore[arg-type]


def _read_arrays(path: Path) -> Arrays:
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}
