"""A table of results read back: arrays over meta-seeds, chips, tasks and episodes by learner, memory and band."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .statistics import Array

LABELS = ("learner", "memory", "band")
AXES = ("meta_seed", "chip", "task", "episode")
VALUES = ("error", "return", "devices_written", "energy_j")
COLUMNS = (*LABELS, *AXES, *VALUES)


class Key(NamedTuple):
    """What one block of rows is about."""

    learner: str
    memory: str
    band: str

    def __str__(self) -> str:
        return f"{self.learner} on {self.memory}, {self.band}"


@dataclass(frozen=True)
class Block:
    """All rows of one learner on one memory in one band; arrays (meta_seeds, chips, tasks, episodes)."""

    key: Key
    """Its labels."""
    error: Array
    """Root mean square joint error in rad on Track, mean tip distance at the end in m on Reach."""
    returned: Array
    """Sum of rewards."""
    devices: Array
    """Physical devices that the lesson before the episode wrote."""
    energy_j: Array
    """Energy of that lesson."""
    meta_seeds: tuple[int, ...]
    """The meta-training runs."""
    numbers: tuple[int, ...]
    """The episodes' numbers: how many lessons went before, where all of a life is in the table."""

    def at(self, k: int) -> Block:
        """Return the k-th episode alone; -1: the last."""
        alone = [k] if k >= 0 else [self.episodes + k]
        error, returned, devices = (part[..., alone] for part in (self.error, self.returned, self.devices))
        number = self.numbers[alone[0]]
        return Block(self.key, error, returned, devices, self.energy_j[..., alone], self.meta_seeds, (number,))

    def part(self, n_chips: int, n_tasks: int) -> Block:
        """Return the first chips and tasks alone: where a sweep is over fewer, its standard point is over the same."""
        parts = (self.error, self.returned, self.devices, self.energy_j)
        error, returned, devices, energy_j = (each[:, :n_chips, :n_tasks] for each in parts)
        return Block(self.key, error, returned, devices, energy_j, self.meta_seeds, self.numbers)

    @property
    def episodes(self) -> int:
        """Number of episodes of a life."""
        return self.error.shape[3]


class Results:
    """The blocks of a table."""

    def __init__(self, rows: dict[Key, list[list[float]]]) -> None:
        """Take rows of AXES and VALUES, by labels."""
        self._rows, self._blocks = rows, {}

    @classmethod
    def read(cls, path: Path) -> Results:
        """Read a table.

        Raises:
            FileNotFoundError: There is none.
            ValueError: It lacks a column or a row, or a field is no number.
        """
        if not Path(path).is_file():
            raise FileNotFoundError(f"no table at {path}; make one with python -m launch.evaluate dynamics --suite")
        try:
            with gzip.open(path, "rt", newline="") as file:
                return cls(_grouped(csv.reader(file), path))
        except gzip.BadGzipFile:
            raise ValueError(f"{path} is not gzip; a table is a .csv.gz with the columns {list(COLUMNS)}") from None

    @property
    def keys(self) -> list[Key]:
        """Labels of the blocks, in the order of the table."""
        return list(self._rows)

    def find(
        self, learner: str | None = None, memory: str | None = None, band: str | None = None
    ) -> list[Key]:  # fmt: skip
        """Return the labels that match what is given."""
        wanted = (learner, memory, band)
        return [key for key in self._rows if all(w in (None, k) for w, k in zip(wanted, key, strict=True))]

    def block(self, key: Key) -> Block:
        """Return a block.

        Raises:
            ValueError: The table has none of these labels, or it has holes.
        """
        if key not in self._rows:
            for name, label, known in zip(LABELS, key, zip(*self._rows, strict=True), strict=True):
                if label not in known:
                    raise ValueError(f"no {name} {label!r} in the table; choose from {sorted(set(known))}")
            raise ValueError(f"no rows of {key}; this learner has {[str(k) for k in self.find(key.learner)]}")
        if key not in self._blocks:
            self._blocks[key] = _block(key, np.array(self._rows[key]))
        return self._blocks[key]


def variant(memory: str) -> tuple[str, dict[str, float]]:
    """Return a memory's device and what differs from its standard, as in "hermes_2 bits=6" -> hermes_2, {bits: 6}.

    Raises:
        ValueError: A word after the device is not name=number.
    """
    device, *words = memory.split()
    try:
        return device, {name: float(value) for name, value in (word.split("=") for word in words)}
    except ValueError:
        raise ValueError(f"memory {memory!r}: after the device come words like bits=6, not {words}") from None


def _grouped(reader: Iterator[list[str]], path: Any) -> dict[Key, list[list[float]]]:
    """Return the rows by their labels."""
    header = next(reader, [])
    missing = [name for name in COLUMNS if name not in header]
    if missing:
        raise ValueError(f"{path} has no column {missing[0]!r}; it has {header}, and needs {list(COLUMNS)}")
    where = [header.index(name) for name in COLUMNS]
    rows: dict[Key, list[list[float]]] = {}
    for number, line in enumerate(reader, start=2):
        try:
            fields = [line[column] for column in where]
            rows.setdefault(Key(*fields[:3]), []).append([float(field) for field in fields[3:]])
        except (ValueError, IndexError):
            raise ValueError(f"{path}, line {number}: not {len(header)} fields with numbers: {line}") from None
    if not rows:
        raise ValueError(f"{path} has no rows")
    return rows


def _block(key: Key, rows: Array) -> Block:
    """Return rows (n, AXES and VALUES) as a full grid.

    Raises:
        ValueError: A row is missing or there twice.
    """
    members, places = zip(*(np.unique(rows[:, axis], return_inverse=True) for axis in range(len(AXES))), strict=True)
    shape = tuple(len(each) for each in members)
    counts = np.zeros(shape, dtype=int)
    np.add.at(counts, places, 1)
    for what, wrong in (("missing", counts == 0), ("there twice", counts > 1)):
        if wrong.any():
            first = _named(members, np.argwhere(wrong)[0])
            raise ValueError(f"{key}: {wrong.sum()} of {wrong.size} rows are {what}, the first {first}")
    values = np.empty((len(VALUES), *shape))
    values[(slice(None), *places)] = rows[:, len(AXES) :].T
    seeds, numbers = (tuple(int(n) for n in members[axis]) for axis in (0, 3))
    return Block(key, *values, meta_seeds=seeds, numbers=numbers)


def _named(members: Sequence[Array], index: Array) -> str:
    return ", ".join(f"{name} {each[i]:.0f}" for name, each, i in zip(AXES, members, index, strict=True))
