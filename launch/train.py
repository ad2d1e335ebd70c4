"""Meta-train a learner in software.

python -m launch.train dynamics --env envs:PhaseArm/PlanarTrack-v0 --out runs/planar
python -m launch.train trajectory --out runs/trajectory
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from launch import cli, train_characters, train_dynamics, train_trajectory

SCENARIOS: dict[str, tuple[type, Callable[[Any], Path]]] = {
    "trajectory": (train_trajectory.TrainTrajectory, train_trajectory.run),
    "characters": (train_characters.TrainCharacters, train_characters.run),
}
DESCRIPTION = (
    f"Meta-train a learner in software. dynamics takes --learner {{{','.join(sorted(train_dynamics.LEARNERS))}}} "
    f"(default {train_dynamics.DEFAULT}); each has options of its own: --learner NAME --help."
)


def main() -> None:
    """Read the command line and train."""
    with cli.wrong_input():
        name, arguments = train_dynamics.named_learner(sys.argv[1:])
    scenarios = {"dynamics": train_dynamics.LEARNERS[name], **SCENARIOS}
    cfg = cli.choose("train", DESCRIPTION, {each: kind for each, (kind, _) in scenarios.items()}, arguments)
    dict(scenarios.values())[type(cfg)](cfg)


if __name__ == "__main__":
    main()
