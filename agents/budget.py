"""How much experience a learner was trained with: control steps of single arms, the field's currency."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from .checkpoint import load
from .learners import checkpoint_path

STEPS = {"Track": 100, "Reach": 50}
"""Control steps of an episode."""


def steps_per_episode(env_id: str) -> int:
    """Return the control steps of an episode.

    Raises:
        ValueError: The id is of neither kind of task.
    """
    for kind, steps in STEPS.items():
        if kind in env_id:
            return steps
    raise ValueError(f"{env_id!r} is none of {list(STEPS)}")


def env_steps(header: Mapping[str, Any]) -> int | None:
    """Return the control steps that a checkpoint was trained with; None: its header does not say.

    A header that counts them itself (`env_steps`) is believed; one of rounds is counted: rounds x bodies x episodes x
    steps of an episode.
    """
    if "env_steps" in header:
        return int(header["env_steps"])
    train = header.get("train", {})
    if "round" not in header or not {"bodies", "episodes"} <= set(train):
        return None
    return header["round"] * train["bodies"] * train["episodes"] * steps_per_episode(header["env"])


def meta_seed(header: Mapping[str, Any]) -> int:
    """Return the seed that a checkpoint was trained with; 0 where its header does not say."""
    return int(header.get("train", {}).get("seed", header.get("seed", 0)))


def budget(path: Path) -> dict[str, Any]:
    """Return `meta_seeds` and `env_steps` of a checkpoint, as metrics.json has them."""
    _, header = load(path)
    return {"meta_seeds": [meta_seed(header)], "env_steps": env_steps(header)}


class Line(NamedTuple):
    """A line of a table of budgets: what a checkpoint was trained with; None where its header does not say."""

    learner: str
    meta_seed: int
    env_steps: int | None  # control steps of single arms
    rounds: int | None
    train_seed: int
    checkpoint: str  # its file's name
    sha256: str  # of its bytes


def budget_lines(trained: Iterable[tuple[str, int]], env_id: str, folder: Path | None = None) -> list[Line]:
    """Return the lines of trainings that have a checkpoint, by learner and meta-seed.

    Args:
        trained: Learners and meta-seeds; who has no checkpoint is left out.
        env_id: Registered id of the world.
        folder: Where the checkpoints are; None: the shipped ones.

    Raises:
        ValueError: A learner is unknown, or a checkpoint is missing.
    """
    found = [(who, seed, checkpoint_path(who, env_id, seed, folder)) for who, seed in sorted(set(trained))]
    return [_line(who, seed, path) for who, seed, path in found if path is not None]


def _line(learner: str, seed: int, path: Path) -> Line:
    _, header = load(path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return Line(learner, seed, env_steps(header), header.get("round"), meta_seed(header), path.name, digest)


def to_csv(lines: Iterable[Line]) -> bytes:
    """Return the file: equal lines give equal bytes."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([Line._fields, *lines])
    return text.getvalue().encode()


def beside(table: Path) -> Path:
    """Return where a table's budgets are: beside it, table.csv.gz has budgets.csv, NAME.csv.gz has NAME.budgets.csv."""
    name = table.name.removesuffix(".gz").removesuffix(".csv")
    return table.with_name("budgets.csv" if name == "table" else f"{name}.budgets.csv")


def read_steps(path: Path) -> dict[str, str]:
    """Return by learner the control steps of its trainings, as in "10,035,200"; whose lines say nothing is not in it.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: A column is missing, or the steps are no number.
    """
    found: dict[str, set[int]] = {}
    with path.open(newline="") as file:
        reader = csv.DictReader(file)
        if missing := [name for name in Line._fields if name not in (reader.fieldnames or ())]:
            raise ValueError(f"{path} has no column {missing[0]!r}; it needs {list(Line._fields)}")
        for line in reader:
            if line["env_steps"] and not line["env_steps"].isdigit():
                raise ValueError(
                    f"{path}: env_steps of {line['learner']!r} must be a number, not {line['env_steps']!r}"
                )
            found.setdefault(line["learner"], set()).update(map(int, filter(None, [line["env_steps"]])))
    return {name: " and ".join(f"{n:,}" for n in sorted(steps)) for name, steps in found.items() if steps}
