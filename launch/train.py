"""Meta-train a learner in software.

python -m launch.train dynamics --env envs:PhaseArm/PlanarTrack-v0 --out runs/planar
python -m launch.train dynamics --meta-seeds 0 1 2 3 4 --workers 2 --out runs/planar-seeds
python -m launch.train trajectory --out runs/trajectory
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from launch import cli, train_characters, train_dynamics, train_many, train_trajectory


class Training(NamedTuple):
    """The configuration of a run, and what runs it."""

    cfg: Any
    run: Callable[[Any], Path]


SCENARIOS: dict[str, tuple[type, Callable[[Any], Path]]] = {
    "trajectory": (train_trajectory.TrainTrajectory, train_trajectory.run),
    "characters": (train_characters.TrainCharacters, train_characters.run),
}
DESCRIPTION = (
    f"Meta-train a learner in software. dynamics takes --learner {{{','.join(sorted(train_dynamics.LEARNERS))}}} "
    f"(default {train_dynamics.DEFAULT}); each has options of its own: --learner NAME --help. {train_many.HELP}"
)


def configuration(arguments: Sequence[str]) -> Training:
    """Return what a command line asks for; wrong input ends the script."""
    with cli.wrong_input():
        name, rest = train_dynamics.named_learner(arguments)
    scenarios = {"dynamics": train_dynamics.LEARNERS[name], **SCENARIOS}
    cfg = cli.choose("train", DESCRIPTION, {each: kind for each, (kind, _) in scenarios.items()}, rest)
    return Training(cfg, dict(scenarios.values())[type(cfg)])


def main() -> None:
    """Read the command line and train, one run or one for each of many seeds."""
    with cli.wrong_input():
        many = train_many.asked(sys.argv[1:])
    if many is not None:
        train_many.run(many)
        return
    training = configuration(sys.argv[1:])
    training.run(training.cfg)


if __name__ == "__main__":
    main()
