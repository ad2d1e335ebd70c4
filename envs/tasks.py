"""A task is a body: what it is made of, in which band it lies, and whether it may be trained on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from gymnasium.utils.seeding import np_random
from numpy.typing import NDArray

from .dynamics import DECIMALS, WIRING, Parameter, bands_of, draw, known_band, n_uniforms, parameters
from .models import ArmCfg, arm_cfg

SPLITS = ("train", "test")
TEST_SHARE = 5  # one task in so many is for testing
Value = float | int | tuple[float, ...]


@dataclass(frozen=True, eq=False, repr=False)
class Task:
    """One body of one arm."""

    arm: str
    """Name of the arm."""
    params: Mapping[str, Any]
    """Parameters by name, numbers or one number a joint or link; what is left out is nominal. Kept rounded. Those of
    the wiring (motor_reversed, motor_swap) are there only where one of them was given."""

    def __post_init__(self) -> None:
        """Check, complete and round the parameters.

        Raises:
            ValueError: Arm, name or value is not one a body can have.
        """
        table = parameters(cfg := self._cfg)
        unknown = sorted(set(self.params) - {parameter.name for parameter in table})
        if unknown:
            known = [*(p.name for p in parameters(arm_cfg(self.arm))), *WIRING]
            raise ValueError(f"unknown parameter {unknown[0]!r}; choose from {known}")
        self._keep({p.name: _checked(cfg, p, self.params.get(p.name)) for p in table})

    def _keep(self, params: dict[str, Value]) -> None:
        # What json.dumps gives, in half the time: names and numbers hold no quotes. The split is read off this text.
        text = str([self.arm, {k: list(v) if isinstance(v, tuple) else v for k, v in params.items()}]).replace("'", '"')
        object.__setattr__(self, "params", MappingProxyType(params))
        object.__setattr__(self, "_text", text)

    @classmethod
    def nominal(cls, arm: str) -> Task:
        """Return the nominal body."""
        return cls(arm, {})

    @property
    def wired(self) -> bool:
        """Whether the body says how its motors are wired, as bodies of the reaching world do."""
        return any(name in self.params for name in WIRING)

    @property
    def _cfg(self) -> ArmCfg:
        return replace(arm_cfg(self.arm), wired=self.wired)

    @property
    def band(self) -> str:
        """Where the values lie: in_range, mild, hard, or outside if none fits."""
        params = {name: np.atleast_2d(value) for name, value in self.params.items()}
        return bands_of(self._cfg, params)[0]

    @property
    def split(self) -> str:
        """The split that the SHA-256 of the rounded values puts the body in: one fifth is test."""
        digest = hashlib.sha256(self._text.encode()).digest()  # type: ignore[attr-defined]
        return "test" if int.from_bytes(digest[:8], "big") % TEST_SHARE == 0 else "train"

    def require_split(self, split: str) -> Task:
        """Return the task if it belongs to the split.

        Raises:
            ValueError: It does not: a test body must not be trained on.
        """
        if _known_split(split) != self.split:
            raise ValueError(f"this task belongs to split {self.split!r}, not {split!r}: {self!r}")
        return self

    def to_json(self) -> str:
        """Return the task as JSON."""
        return json.dumps({"arm": self.arm, "params": dict(self.params)})

    @classmethod
    def from_json(cls, text: str) -> Task:
        """Return the task that `to_json` wrote."""
        fields = json.loads(text)
        return cls(fields["arm"], fields["params"])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Task) and self._text == other._text  # type: ignore[attr-defined]

    def __hash__(self) -> int:
        return hash(self._text)  # type: ignore[attr-defined]  # a string keeps its hash

    def __repr__(self) -> str:
        return f"Task({self.arm!r}, {dict(self.params)!r})"

    def __reduce__(self) -> tuple[type[Task], tuple[str, dict[str, Value]]]:
        return Task, (self.arm, dict(self.params))


def _checked(cfg: ArmCfg, parameter: Parameter, given: Any) -> Value:
    """Return a parameter's value, rounded: a float, an int where it is whole, or a tuple.

    Raises:
        ValueError: It is not numbers of the right count and size.
    """
    size = parameter.size(cfg)
    if given is None:
        given = parameter.nominal if parameter.per == "arm" else [parameter.nominal] * size
    try:
        values = np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{parameter.name} must be numbers, not {given!r}") from None
    if values.shape != (() if parameter.per == "arm" else (size,)):
        wanted = "one number" if parameter.per == "arm" else f"{size} numbers, one a {parameter.per}"
        raise ValueError(f"{parameter.name} of {cfg.name} takes {wanted}, not {given!r}")
    if not np.isfinite(values).all() or (values < parameter.smallest).any():
        raise ValueError(f"{parameter.name} must be finite and at least {parameter.smallest}, not {given!r}")
    low, high = (int(end) for end in parameter.bands[0])
    if parameter.whole and ((values % 1).any() or (values > high).any()):
        raise ValueError(f"{parameter.name} must be one of {list(range(low, high + 1))}, not {given!r}")
    return parameter.plain(np.round(np.atleast_1d(values), DECIMALS).tolist())


def _known_split(split: str) -> str:
    if split not in SPLITS:
        raise ValueError(f"unknown split {split!r}; choose from {list(SPLITS)}")
    return split


def make_tasks(cfg: ArmCfg, band: str, uniform: NDArray[np.float64]) -> list[Task]:
    """Return the bodies that uniform numbers (n, n_uniforms(cfg)) stand for, of either split."""
    table, drawn = parameters(cfg), draw(cfg, band, uniform)
    columns = [[parameter.plain(row) for row in drawn[parameter.name].tolist()] for parameter in table]
    names, tasks = [parameter.name for parameter in table], []
    for row in zip(*columns, strict=True):
        task = object.__new__(Task)  # drawn values are right by construction: no need to check them again
        object.__setattr__(task, "arm", cfg.name)
        task._keep(dict(zip(names, row, strict=True)))
        tasks.append(task)
    return tasks


def draw_tasks(cfg: ArmCfg, band: str, split: str, generators: Sequence[np.random.Generator]) -> list[Task]:
    """Return one body a generator, each drawn again from its own generator until it is of the split."""
    _known_split(split)
    tasks: dict[int, Task] = {}
    pending = list(range(len(generators)))
    while pending:
        uniform = np.empty((len(pending), n_uniforms(cfg)))
        for i, numbers in zip(pending, uniform, strict=True):
            generators[i].random(out=numbers)
        drawn = zip(pending, make_tasks(cfg, band, uniform), strict=True)
        tasks.update((i, task) for i, task in drawn if task.split == split)
        pending = [i for i in pending if i not in tasks]
    return [tasks[i] for i in range(len(generators))]


def sample_tasks(cfg: ArmCfg, n: int, band: str, split: str, rng: np.random.Generator) -> list[Task]:
    """Return n bodies of a band and a split; the first m of n are those of a call for m."""
    if n < 0:
        raise ValueError(f"the number of tasks must be 0 or more, not {n}")
    _known_split(split)
    tasks: list[Task] = []
    while len(tasks) < n:
        drawn = make_tasks(cfg, band, rng.random((n - len(tasks), n_uniforms(cfg))))
        tasks += [task for task in drawn if task.split == split]
    return tasks


def as_tuple(cfg: ArmCfg, task: Any) -> tuple[Task, ...]:
    """Return a task, None for the nominal arm, or a list of them, as a tuple.

    Raises:
        ValueError: One is not of this arm.
    """
    tasks = tuple(task) if isinstance(task, (list, tuple)) else (task,)
    tasks = tuple(Task.nominal(cfg.name) if one is None else one for one in tasks)
    for one in tasks:
        if one.arm != cfg.name:
            raise ValueError(f"a task for arm {one.arm!r} does not fit arm {cfg.name!r}")
    return tasks


def describe(tasks: Sequence[Task], wired: bool = False) -> dict[str, NDArray[Any]]:
    """Return the parameters of N tasks by name, (N,) or (N, size): what info["dynamics"] shows.

    Args:
        tasks: The bodies.
        wired: Whether to tell the wiring too, also of bodies that do not say: theirs is right.
    """
    cfg = replace(arm_cfg(tasks[0].arm), wired=wired)
    default = {parameter.name: parameter.default(cfg) for parameter in parameters(cfg)}
    return {name: np.array([task.params.get(name, value) for task in tasks]) for name, value in default.items()}


class Seeds(NamedTuple):
    """An arm's own generators: drawing bodies does not move the references and the noise."""

    motion: np.random.Generator
    tasks: np.random.Generator


def seeded(seed: int | None) -> Seeds:
    """Return the generators of an arm, as a Gymnasium environment with this seed has them."""
    motion, _ = np_random(seed)
    return Seeds(motion, motion.spawn(1)[0])


class Casting:
    """Which body each of n arms gets next: the one set for it, else the one it is to hold, else one newly drawn."""

    def __init__(self, cfg: ArmCfg, n_arms: int, band: str, split: str, drawn: ArmCfg | None = None) -> None:
        """Let every arm draw from this band and split; `drawn` tells what varies in drawn bodies, if not all of it."""
        self._cfg, self._drawn, self._band, self._split = cfg, drawn or cfg, "", ""
        self._set: list[Task | None] = [None] * n_arms
        self.present: list[Task | None] = [None] * n_arms
        self.held = np.zeros(n_arms, dtype=bool)
        self.draw_from(band, split)

    def draw_from(self, band: str | None = None, split: str | None = None) -> None:
        """Choose the band and the split of later draws."""
        self._band = self._band if band is None else known_band(band)
        self._split = self._split if split is None else _known_split(split)

    def set(self, tasks: Sequence[Task | None], ids: NDArray[Any]) -> None:
        """Set the tasks of the arms `ids` from a list with one entry for every arm.

        Raises:
            ValueError: The list is too long or short, or holds what is no task of this arm.
        """
        if len(tasks) != len(self._set):
            raise ValueError(f"{len(self._set)} arms take as many tasks, not {len(tasks)}")
        for task in tasks:
            if task is not None and not (isinstance(task, Task) and task.arm == self._cfg.name):
                raise ValueError(f"not a task of arm {self._cfg.name!r}: {task!r}")
            if task is not None and task.wired and not self._cfg.wired:
                raise ValueError(f"no motor is miswired in this world; leave out {list(WIRING)}: {task!r}")
        for i in ids:
            self._set[i] = tasks[i]

    def hold(self, held: NDArray[Any] | bool) -> None:
        """Let arms (a mask, or one answer for all) keep the body they have where the next would be drawn."""
        self.held[:] = held

    def next(self, ids: NDArray[Any], generators: Sequence[np.random.Generator]) -> tuple[list[Task], NDArray[Any]]:
        """Give the arms `ids` their next bodies; return these, and which arms changed theirs."""
        tasks = [self._set[i] or (self.present[i] if self.held[i] else None) for i in ids]
        free = [k for k, task in enumerate(tasks) if task is None]
        drawn = draw_tasks(self._drawn, self._band, self._split, [generators[k] for k in free])
        for k, task in zip(free, drawn, strict=True):
            tasks[k] = task
        changed = [i for i, task in zip(ids, tasks, strict=True) if task != self.present[i]]
        for i, task in zip(ids, tasks, strict=True):
            self.present[i] = task
        return [task for task in tasks if task is not None], np.array(changed, dtype=np.int64)
