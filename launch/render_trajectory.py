"""Film the spiking arm: `python -m launch.render trajectory`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import tyro

from agents.eprop_evaluate import Array, Learnt, evaluate
from agents.eprop_figures import figures
from envs.playback import play
from envs.trajectories import STEP_S, Targets, tip_position
from launch import cli
from launch.evaluate_trajectory import EvaluateTrajectory
from launch.film_trajectory import Run, film

N_WEIGHTS = 63_750


def _default() -> EvaluateTrajectory:
    return EvaluateTrajectory(chips=1, targets=16, controls=False, retention=False, playback=0)


@dataclass(frozen=True)
class RenderTrajectory:
    """A trajectory before and after the one write, side by side: the MuJoCo Scorbot, target and path, spikes below."""

    evaluation: tyro.conf.OmitArgPrefixes[EvaluateTrajectory] = field(default_factory=_default)
    """What is run before the camera."""
    target: int | None = None
    """Number of the target to film; default: the one of the median error on the first chip."""
    width: int = 520
    """Width of one side of the frame, pixels, even."""
    height: int = 420
    """Height of the arm's picture, pixels, even."""
    pace: int = 2
    """Steps of the network, 10 ms of the arm each, from a frame to the next, 25 a second."""

    def __post_init__(self) -> None:
        """Refuse sizes that no video takes and targets that are not there."""
        for name in ("width", "height"):
            if getattr(self, name) not in range(32, 4097, 2):
                raise ValueError(f"--{name} must be even and 32 to 4096, got {getattr(self, name)}")
        if self.pace not in range(1, 250):
            raise ValueError(f"--pace must be 1 to 249, got {self.pace}")
        if self.target is not None and not 0 <= self.target < self.evaluation.targets:
            n = self.evaluation.targets
            raise ValueError(f"--target must be 0 to {n - 1} (of --targets {n}), got {self.target}")


def run_trajectory(cfg: RenderTrajectory) -> Path:
    """Learn, let the Scorbot play one target before and after the write, film it; return the folder."""
    asked = cfg.evaluation
    with cli.wrong_input():
        weights, networks, write = asked.learner()
        protocol, folder = asked.protocol(write), cli.run_folder(asked.out, "render-trajectory")
        cli.pick_device(asked.device)
        targets, learnt = evaluate(weights, networks, protocol)
    number = int(np.argsort(learnt.tip_cm[0])[asked.targets // 2]) if cfg.target is None else cfg.target
    runs = sides(learnt, targets, number, asked.hold_s)
    folder.mkdir(parents=True, exist_ok=True)
    video = film(folder / "trajectory.mp4", runs, targets.tip_m[number], (cfg.width, cfg.height), cfg.pace)
    cli.write_json(folder / "metrics.json", figures(protocol, learnt) | asked.described(write) | {"target": number})
    print(f"target {number}: {runs[0].title}; {runs[1].title}")
    print(video)
    print(folder)
    return folder


def sides(learnt: Learnt, targets: Targets, number: int, hold_s: float) -> tuple[Run, Run]:
    """Return what the arm of the first chip does with a target before and after the write."""
    velocity = np.stack([learnt.first_rad_s[0, number], learnt.velocity_rad_s[0, number]]).astype(np.float64)
    angle = play(STEP_S * velocity.cumsum(1), hold_s).angle_rad
    n_written = learnt.weights_written[0, number]
    said = ("before the write", f"after one write of {n_written:,.0f} of {N_WEIGHTS:,} weights")
    spikes = (learnt.first_spikes[0, number], learnt.spikes[0, number])
    return tuple(  # type: ignore[return-value]
        Run(f"{what}: {_error_cm(angle[side], targets.tip_m[number]):.1f} cm", angle[side], spikes[side])
        for side, what in enumerate(said)
    )


def _error_cm(angle_rad: Array, target_m: Array) -> float:
    return float(100.0 * np.sqrt(np.square(tip_position(angle_rad) - target_m).sum(-1).mean()))
