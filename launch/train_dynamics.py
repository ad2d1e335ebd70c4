"""Which learners `python -m launch.train dynamics --learner NAME` trains; a new one takes one line here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from launch import train_delta, train_kin, train_reward, train_rl

LEARNERS: dict[str, tuple[type, Callable[[Any], Path]]] = {
    "delta": (train_delta.TrainDynamics, train_delta.run),
    "plain": (train_kin.TrainPlain, train_kin.run),
    "cavia": (train_kin.TrainCavia, train_kin.run),
    "maml": (train_kin.TrainMaml, train_kin.run),
    "reward": (train_reward.TrainReward, train_reward.run),
    "ppo": (train_rl.TrainPpo, train_rl.run_ppo),
    "rl2": (train_rl.TrainRl2, train_rl.run_rl2),
}
"""From a learner's name to its command line, a dataclass, and what trains it."""
DEFAULT = "delta"


def named_learner(arguments: Sequence[str]) -> tuple[str, list[str]]:
    """Return the learner that a command line names after `dynamics`, and the command line without that name.

    It is read before everything else, since each learner has options of its own.

    Raises:
        ValueError: There is no such learner, or no name.
    """
    rest, name = list(arguments), DEFAULT
    if rest[:1] != ["dynamics"]:
        return name, rest
    for index, word in enumerate(rest):
        flag, equals, value = word.partition("=")
        if flag == "--learner":
            name = value if equals else "".join(rest[index + 1 : index + 2])
            del rest[index : index + (1 if equals else 2)]
            break
    if name not in LEARNERS:
        raise ValueError(f"unknown --learner {name!r}; choose from {sorted(LEARNERS)}")
    return name, rest
