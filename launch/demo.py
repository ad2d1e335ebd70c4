"""The demo: held-out arms, several chips, five lessons, a page to look at. Takes less than three minutes on two cores.

python -m launch.demo
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tyro

from envs import rendering
from launch import cli, render


@dataclass(frozen=True)
class Demo:
    """Watch arms with unknown payloads, worn joints and weak motors learn their bodies in five lessons."""

    env: str = "envs:PhaseArm/PlanarTrack-v0"
    """Registered id of the family of tasks."""
    chips: int = 4
    """Chips, each programmed once."""
    tasks: int = 24
    """Held-out bodies; every chip meets all of them."""
    seed: int = 0
    """Seed of bodies, references, starts, sensors and chips."""
    out: Path | None = None
    """Folder; default: a new one under runs/."""


def run(cfg: Demo) -> Path:
    """Run the demo; return its folder."""
    drawn = rendering.backend_name()
    print(f"{cfg.tasks} held-out bodies on each of {cfg.chips} simulated phase-change chips; drawn by {drawn}")
    with cli.wrong_input():
        whole = render.RenderDynamics(env=cfg.env, chips=cfg.chips, tasks=cfg.tasks, seed=cfg.seed, out=cfg.out)
    return render.run(whole, "demo")


def main() -> None:
    """Read the command line and run."""
    with cli.wrong_input():
        cfg = tyro.cli(Demo, prog="python -m launch.demo", description=__doc__)
    run(cfg)


if __name__ == "__main__":
    main()
