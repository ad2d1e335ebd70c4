"""Render an arm that adapts: a video before any lesson, one after the last, and the page around them; or all episodes.

python -m launch.render dynamics --env envs:PhaseArm/ScorbotTrack-v0 --body 3
python -m launch.render dynamics --env envs:PhaseArm/PlanarReach-v0 --beside rl2
python -m launch.render characters --data omniglot
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from agents.chip import ChipCfg
from agents.evaluation import Arena, EvaluationCfg
from agents.plans import usual_lessons
from agents.shipped import load_shipped, shipped_path
from agents.showcase import run_showcase
from launch import cli, page, render_characters, render_reach
from launch.render_characters import RenderCharacters
from launch.render_trajectory import RenderTrajectory, run_trajectory


@dataclass(frozen=True)
class RenderDynamics:
    """Lessons on held-out arms, filmed. Track: before.mp4, after.mp4 on the same reference, and report.html. Reach:
    learning.mp4, the first episodes of one body one after the other, beside another learner's.
    """

    env: str = "envs:PhaseArm/PlanarTrack-v0"
    """Registered id of the family of tasks."""
    memory: str = "hermes_2"
    """What the network lives on: float is software, others are devices (ideal, pcm_like, state_independent, hermes_1,
    hermes_2); or a JSON or CSV table of your own devices."""
    chips: int = 4
    """Chips, each programmed once."""
    tasks: int = 24
    """Held-out bodies; every chip meets all of them."""
    band: Literal["in_range", "mild", "hard"] = "in_range"
    """Band of dynamics."""
    lessons: int | None = None
    """Writes before the second video, or the last episode; default: 5 on Track, 3 on Reach."""
    beside: str = "nominal"
    """Reach: who is filmed on the right, in software: nominal, oracle, ppo or rl2 (agents/learners.py)."""
    body: int | None = None
    """Number of the body to film; default: on Track the one at the upper quartile of the error before any lesson, on
    Reach the one of the median error after the last."""
    width: int = 560
    """Width of a frame, on Reach of one side of it, pixels, even."""
    height: int = 420
    """Height of a frame, on Reach of the arm's picture, pixels, even."""
    scale: Literal["column", "matrix", "core"] = "column"
    """What shares one factor from weight to conductance."""
    age_s: float = 3600.0
    """Age of the programmed chips when the first episode begins, s."""
    seed: int = 0
    """Seed of bodies, references, starts, sensors and chips."""
    checkpoint: Path | None = None
    """Learner; default: the shipped one of --env."""
    out: Path | None = None
    """Folder; default: a new one under runs/."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Torch's device; the arms are on the CPU and the arrays are small, so auto is the CPU."""

    def __post_init__(self) -> None:
        """Refuse sizes that no video takes and bodies that are not there."""
        for name in ("width", "height"):
            if getattr(self, name) not in range(16, 4097, 2):
                raise ValueError(f"--{name} must be even and 16 to 4096, got {getattr(self, name)}")
        if self.body is not None and not 0 <= self.body < self.tasks:
            raise ValueError(f"--body must be 0 to {self.tasks - 1} (of --tasks {self.tasks}), got {self.body}")

    def protocol(self) -> EvaluationCfg:
        """Return what is evaluated before the camera."""
        chip = ChipCfg(memory=cli.memory(self.memory), scale=self.scale, age_s=self.age_s)
        lessons = usual_lessons(self.env) if self.lessons is None else self.lessons
        return EvaluationCfg(self.env, self.chips, self.tasks, lessons, self.seed, chip)


def run(cfg: RenderDynamics, name: str = "render-dynamics") -> Path:
    """Adapt, film, write the page; end with three lines: the finding, the page, the folder. Return the folder."""
    if "Reach" in cfg.env:
        return render_reach.run(cfg, name)
    with cli.wrong_input():
        protocol = cfg.protocol()
        folder = cli.run_folder(cfg.out, name)
        cli.pick_device(cfg.device)
        shipped = load_shipped(cfg.checkpoint or shipped_path(cfg.env), cfg.env)
        bar = cli.progress(9, "lessons and videos")
        arena = Arena(protocol, cfg.band, lambda text: cli.tick(bar, text))
    show = run_showcase(arena, shipped, cfg.body)
    print(page.lessons_table(arena, show))
    written = page.write(folder, arena, show, (cfg.width, cfg.height))
    bar.close()
    print(page.outcome(arena, show).sentence)
    print(written)
    print(folder)
    return folder


SCENARIOS = {"dynamics": RenderDynamics, "trajectory": RenderTrajectory, "characters": RenderCharacters}
RUNS = {RenderDynamics: run, RenderTrajectory: run_trajectory, RenderCharacters: render_characters.run}


def main() -> None:
    """Read the command line and render."""
    cfg = cli.choose("render", "Show a learner before and after its lessons.", SCENARIOS)
    RUNS[type(cfg)](cfg)


if __name__ == "__main__":
    main()
