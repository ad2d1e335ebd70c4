"""How much experience a learner was trained with: control steps of single arms, the field's currency."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from .checkpoint import load
from .learners import LEARNERS, checkpoints

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


def budgets(env_id: str, folder: Path | None = None) -> dict[str, str]:
    """Return by learner the control steps of its checkpoints on a world, as in "10,035,200", and whose say nothing not.

    Args:
        env_id: Registered id.
        folder: Where the checkpoints are; None: the shipped ones.
    """
    found = {name: _steps(checkpoints(name, env_id, folder).values()) for name in LEARNERS}
    return {name: " and ".join(f"{n:,}" for n in sorted(steps)) for name, steps in found.items() if steps}


def _steps(paths: Iterable[Path]) -> set[int]:
    return {steps for path in paths if (steps := budget(path)["env_steps"]) is not None}
