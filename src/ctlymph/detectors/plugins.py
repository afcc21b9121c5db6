"""Methods of other packages, found through the entry point group ``ctlymph.detectors``.

An entry gives a :class:`~ctlymph.detectors.method.Method` or a tuple of them. An entry that cannot be used becomes a
note that names its package, and all other methods work on.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, is_dataclass
from importlib.metadata import EntryPoint, entry_points

from ctlymph.core.errors import shown
from ctlymph.core.regions import REGIONS
from ctlymph.detectors.base import Generator, Scorer, Stage, Trainable
from ctlymph.detectors.method import Method
from ctlymph.detectors.settings import settings_of

GROUP = "ctlymph.detectors"


@dataclass(frozen=True)
class Plugins:
    """Methods of other packages.

    Attributes:
        methods: By name.
        sources: The package and version of each method, by its name.
        notes: A sentence for each entry or method that cannot be used.
    """

    methods: Mapping[str, Method]
    sources: Mapping[str, str]
    notes: tuple[str, ...]


def load_plugins(taken: Collection[str] = ()) -> Plugins:
    """Import the methods of other packages.

    Args:
        taken: Names that they cannot have.

    Returns:
        Those that can be used, and notes on the others. A name that two packages use belongs to neither.
    """
    found: dict[str, tuple[Method, str]] = {}
    clashing: set[str] = set()
    notes: list[str] = []
    for entry in sorted(entry_points(group=GROUP), key=lambda each: (_source(each), each.name)):
        source = _source(entry)
        try:
            methods = list(_methods(entry))
        except (Exception, SystemExit) as error:  # other people's code: whatever it raises, the others must work
            notes.append(
                f"{source}: its entry {entry.name} cannot be used: {type(error).__name__}: {shown(error, 300)}"
            )
            continue
        for method in methods:
            if method.name in taken:
                notes.append(f"{source}: its method {method.name} has the name of a method of ctlymph; rename it")
            elif method.name in found:
                clashing.add(method.name)
                other = found[method.name][1]
                notes.append(f"{source}: its method {method.name} has the name of a method of {other}; rename one")
            else:
                found[method.name] = (method, source)
    kept = {name: each for name, each in found.items() if name not in clashing}
    return Plugins(
        {name: method for name, (method, _) in kept.items()},
        {name: source for name, (_, source) in kept.items()},
        tuple(notes),
    )


def _source(entry: EntryPoint) -> str:
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist else entry.value


def _methods(entry: EntryPoint) -> Iterator[Method]:
    given = entry.load()
    for method in given if isinstance(given, tuple | list) else (given,):
        if not isinstance(method, Method):
            raise TypeError(f"{entry.value} gives {method!r}, expected a ctlymph.detectors.method.Method")
        if unknown := sorted(set(method.systems) - set(REGIONS)):
            raise ValueError(f"{method.name} is for the {unknown[0]}, which is none of {', '.join(REGIONS)}")
        for system in method.systems.values():
            for number, stage in enumerate(system.stages):
                _check(stage, is_first=number == 0)
        yield method


def _check(stage: Stage, *, is_first: bool) -> None:
    """Refuse what is no stage, or none that can stand in this place.

    Raises:
        TypeError: It says what is missing.
    """
    name = type(stage).__name__
    if not is_dataclass(stage) or not isinstance(getattr(stage, "version", None), int):
        raise TypeError(f"{name} is no dataclass with a version, as stages are")
    if not isinstance(stage, Generator if is_first else Scorer):
        missing = "propose, as the first stage has" if is_first else "score, as later stages have"
        raise TypeError(f"{name} has no method {missing}")
    if hasattr(stage, "fit") and not isinstance(stage, Trainable):
        raise TypeError(f"{name} has a method fit, but not both extract and examples")
    settings_of(stage, training=True)
