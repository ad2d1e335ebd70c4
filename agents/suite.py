"""An evaluation suite: many cells, each kept when it is finished, and the one table that they make."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .budget import beside, budget_lines, to_csv
from .cells import Cell, Order, SuiteCfg
from .checkpoint import clear_unfinished, write_whole
from .midlife import BAND, LEGS
from .source import source_sha256
from .spread import Places, spread
from .suite_cell import COLUMNS, run_cell

TABLE = "table.csv.gz"
SECONDS = {"planar": 0.0025, "scorbot": 0.005}
"""Time of one episode of one arm on one core of the machine that this was measured on, s: before anything is known."""


class Done(NamedTuple):
    """A finished cell as it comes back from a worker."""

    rows: bytes
    seconds: float


class Task(NamedTuple):
    """What a worker is handed."""

    order: Order
    key: str
    code: str


def do(task: Task) -> Done:
    """Run a cell where the worker is.

    Raises:
        ValueError: The worker has other code or checkpoints than who asked.
    """
    if task.code != source_sha256():
        raise ValueError(f"{task.order.cell}: this worker runs other code; install the same version everywhere")
    if task.key != task.order.key():
        raise ValueError(f"{task.order.cell}: this worker has another checkpoint; install the same version everywhere")
    began = time.perf_counter()
    return Done(run_cell(task.order), time.perf_counter() - began)


@dataclass(frozen=True)
class Kept:
    """A cell on disk."""

    order: Order
    key: str
    code: str
    seconds: float
    rows: bytes

    @property
    def current(self) -> bool:
        """Whether learner, settings and checkpoint are today what they were then."""
        try:
            return self.order.checked().key() == self.key
        except ValueError:
            return False

    @property
    def other_code(self) -> bool:
        """Whether it was made by other code than this process runs."""
        return self.code != source_sha256()


class Store:
    """A folder of finished cells, all of one world, seed and number of lessons."""

    def __init__(self, folder: Path, cfg: SuiteCfg, keep_cells: bool = False) -> None:
        """Open it, or begin it.

        Args:
            folder: Where the cells are.
            cfg: What they have in common.
            keep_cells: Whether cells that were made by other code count like those of this one.

        Raises:
            ValueError: It holds the cells of another suite.
        """
        self.folder, self.cfg, self.keep_cells = folder, cfg, keep_cells
        settings = {"env": cfg.env, "lessons": cfg.lessons, "seed": cfg.seed}
        note = folder / "suite.json"
        there = json.loads(note.read_text()) if note.is_file() else settings
        if there != settings:
            raise ValueError(f"{folder} holds the suite of {there}, not of {settings}; name another --out")
        write_whole(note, (json.dumps(settings) + "\n").encode())
        clear_unfinished(folder / "cells")

    def path(self, cell: Cell) -> Path:
        """Return where a cell is kept."""
        name = f"{cell.learner}__{cell.memory.replace(' ', '+')}__{cell.band}__{cell.meta_seed}__{cell.block}"
        return self.folder / "cells" / f"{name}.csv.gz"

    def keep(self, task: Task, done: Done) -> None:
        """Keep a finished cell, whole or not at all."""
        order = task.order
        head = {"cell": asdict(order.cell), "chips": order.cfg.chips, "tasks": order.cfg.tasks, "key": task.key}
        head |= {"code": task.code, "seconds": round(done.seconds, 3)}
        text = json.dumps(head).encode() + b"\n" + done.rows
        write_whole(self.path(order.cell), gzip.compress(text, mtime=0))

    def find(self, order: Order) -> Kept | None:
        """Return a cell that is kept and that nothing it depends on has changed since."""
        path = self.path(order.cell)
        kept = self._read(path) if path.is_file() else None
        return kept if kept is not None and kept.key == order.key() and self._counts(kept) else None

    def _counts(self, kept: Kept) -> bool:
        """Return whether the code that made a cell is good enough."""
        return self.keep_cells or not kept.other_code

    def _read(self, path: Path) -> Kept:
        """Read a cell."""
        head, rows = gzip.decompress(path.read_bytes()).split(b"\n", 1)
        said = json.loads(head)
        cfg = SuiteCfg(
            *(self.cfg.env, said["chips"], said["tasks"], self.cfg.lessons, self.cfg.seed, self.cfg.checkpoints)
        )
        order = Order(cfg, Cell(**said["cell"]))
        return Kept(order, said["key"], said.get("code", ""), said["seconds"], rows)  # the first ones do not say

    def cells(self) -> list[Kept]:
        """Return every cell whose learner, settings and checkpoint are today's, whatever code made it, in the order of
        the table.
        """
        read = [self._read(path) for path in (self.folder / "cells").glob("*.csv.gz")]
        return [kept for kept in sorted(read, key=lambda kept: kept.order.cell) if kept.current]

    def kept(self) -> Iterator[Kept]:
        """Yield every cell that is kept and up to date, in the order of the table."""
        return (kept for kept in self.cells() if self._counts(kept))

    def write_table(self) -> Path:
        """Write the table of all cells that are kept, and their learners' budgets: equal cells give equal bytes."""
        kept, path = list(self.kept()), self.folder / TABLE
        trained = [(each.order.cell.learner, each.order.cell.meta_seed) for each in kept]
        write_whole(beside(path), to_csv(budget_lines(trained, self.cfg.env, self.cfg.checkpoints)))
        text = ",".join(COLUMNS).encode() + b"\n" + b"".join(each.rows for each in kept)
        write_whole(path, gzip.compress(text, compresslevel=9, mtime=0))
        return path


class Work(NamedTuple):
    """What is to be done, and what is known of the time that it takes."""

    orders: list[Order]  # to be run
    n_kept: int  # done before
    seconds: float  # of one core
    n_again: int  # of the orders to be run: done before, by other code
    n_other: int  # all cells in the folder that other code made


def pending(orders: Sequence[Order], store: Store) -> Work:
    """Return what of the orders is not kept, and how long it will take on one core."""
    missing = [order for order in orders if store.find(order) is None]
    known: dict[str, list[float]] = {}
    cells = store.cells()
    others, again = [kept for kept in cells if kept.other_code], {order.cell for order in missing}
    for kept in cells:
        known.setdefault(kept.order.cell.learner, []).append(kept.seconds / n_episodes(kept.order))
    every = [each for rates in known.values() for each in rates]
    arm = "scorbot" if "Scorbot" in store.cfg.env else "planar"
    usual = sum(every) / len(every) if every else SECONDS[arm]
    rate = {learner: sum(rates) / len(rates) for learner, rates in known.items()}
    seconds = sum(n_episodes(order) * rate.get(order.cell.learner, usual) for order in missing)
    n_again = sum(kept.order.cell in again for kept in others)
    return Work(missing, len(orders) - len(missing), seconds, n_again, len(others))


def n_episodes(order: Order) -> int:
    """Return the episodes of single arms in a cell."""
    legs = LEGS if order.cell.band == BAND else 1
    return order.n_chips * order.cfg.tasks * (order.cfg.lessons + 1) * legs


def run_suite(work: Work, store: Store, places: Places) -> Iterator[Order]:
    """Run what is left, keep each cell as it comes, and yield its order; then write the table."""
    tasks = [Task(order, order.key(), source_sha256()) for order in work.orders]
    for index, done in spread(do, tasks, places):
        store.keep(tasks[index], done)
        yield tasks[index].order
    store.write_table()


def summary(store: Store) -> dict[tuple[str, str, str], dict[str, Any]]:
    """Return, by learner, memory and band, the mean error of each episode and how many trials it is over."""
    found: dict[tuple[str, str, str], list[Any]] = {}
    for kept in store.kept():
        numbers = np.array([line.split(b",")[6:8] for line in kept.rows.splitlines()], dtype=float)
        episodes = int(numbers[:, 0].max()) + 1
        cell = kept.order.cell
        found.setdefault((cell.learner, cell.memory, cell.band), []).append(numbers[:, 1].reshape(-1, episodes))
    whole = {key: np.concatenate(parts) for key, parts in found.items()}
    return {key: {"error": each.mean(axis=0).tolist(), "trials": len(each)} for key, each in whole.items()}
