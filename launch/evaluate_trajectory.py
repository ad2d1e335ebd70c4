"""Evaluate the spiking arm: `python -m launch.evaluate trajectory`."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from agents.eprop import EpropCfg, Weights
from agents.eprop_chip import TraineeChipCfg
from agents.eprop_evaluate import TrajectoryCfg, evaluate
from agents.eprop_figures import figures, played_figures
from agents.eprop_noise import WriteCfg
from agents.eprop_weights import SHIPPED, load_arrays, load_trained
from envs.playback import PAPER_HOLD_S, held
from envs.trajectories import Coding
from launch import cli


@dataclass(frozen=True)
class EvaluateTrajectory:
    """Fresh trajectories, each shown once to a spiking network on K chips, written once, and then drawn by the arm."""

    memory: str = "hermes_2"
    """What the trainee lives on: float is software, others are devices (ideal, pcm_like, state_independent, hermes_1,
    hermes_2); or a JSON or CSV table of your own devices."""
    chips: int = 8
    """Chips, each programmed once."""
    targets: Annotated[int, tyro.conf.arg(aliases=["--tasks"])] = 32
    """Fresh targets; every chip meets all of them."""
    seed: int = 0
    """Seed of targets, chips and rounding."""
    scale: Literal["column", "matrix", "core"] = "column"
    """What shares one factor from weight to conductance; matrix and core are the same here, both lie on one core."""
    off_device: Literal["noisy", "ideal"] = "noisy"
    """What a device conducts that was programmed to zero."""
    read_noise: Literal["each", "frozen", "off"] = "each"
    """When read noise is drawn: at every step; once for the whole run; never."""
    bits: int = 8
    """Resolution of the converters; 0: none."""
    headroom: float = 1.0
    """Full conductance over the largest weight that shares a factor."""
    gains: bool = True
    """Measure the gain of every line once after programming, and make up for it."""
    generator: Literal["software", "chip"] = "software"
    """Where the readout and the generator of learning signals run: in software, or on further cores."""
    write: Literal["all", "rounded", "top_k"] | None = None
    """Which increments are written: all that are not zero, rounded at random to a grid, or the largest; default: as the
    checkpoint was trained, all for --weights."""
    grid: float | None = None
    """Grid of `rounded`; default: the checkpoint's, 1/16 for --weights."""
    share: float = 0.1
    """Share of the weights that `top_k` writes."""
    age_s: float = 3600.0
    """Age of the programmed chips when the targets are shown, s."""
    controls: bool = True
    """Also write what the signals of another target teach."""
    retention: bool = True
    """Also run the written trainee again after an hour, a day and a month."""
    playback: int = 16
    """Trajectories that the MuJoCo Scorbot plays through its servos; 0: none."""
    hold_s: float = PAPER_HOLD_S
    """How long the Scorbot holds each step of the network, s: .25 as in the paper, a minute a trajectory; .01 at the
    speed of the kinematics."""
    checkpoint: Path | None = None
    """Learner; default: the shipped one."""
    weights: Path | None = None
    """Weights as plain arrays, npz or safetensors, instead of a checkpoint; the networks are those of the paper."""
    coding: Coding | None = None
    """How the generator sees the target; default: the checkpoint's, binary for --weights."""
    inner_rate: float | None = None
    """Rate of the one update; default: the checkpoint's, 1e-4 for --weights."""
    clock_gain: float | None = None
    """Amplitude of the clock on the input lines; default: the checkpoint's, 1 for --weights."""
    out: Path | None = None
    """Folder for metrics.json; default: a new one under runs/."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Torch's device; the arrays are small, so auto is the CPU."""

    def __post_init__(self) -> None:
        """Refuse two sources of weights, and what cannot be played."""
        held(self.hold_s)
        if self.playback < 0:
            raise ValueError(f"--playback must be 0 or more, got {self.playback}")
        if self.checkpoint is not None and self.weights is not None:
            raise ValueError(f"--weights {self.weights} and --checkpoint {self.checkpoint}: choose one of them")

    def learner(self) -> tuple[Weights, EpropCfg, WriteCfg]:
        """Return weights, networks, and which increments are written."""
        given = {"coding": self.coding, "inner_rate": self.inner_rate, "clock_gain": self.clock_gain}
        given = {name: value for name, value in given.items() if value is not None}
        trained_by: dict[str, Any] = {}
        if self.weights is not None:
            networks = dataclasses.replace(EpropCfg(), **given)
            weights = load_arrays(self.weights, networks)
        else:
            weights, networks, header = load_trained(self.checkpoint or SHIPPED)
            networks = dataclasses.replace(networks, **given)
            trained_by = header["parts"][-1]["chip"]["write"]
        ours = {"rule": self.write, "grid": self.grid, "share": self.share}
        write = WriteCfg(**{**trained_by, **{name: value for name, value in ours.items() if value is not None}})
        return weights, networks, write

    def protocol(self, write: WriteCfg) -> TrajectoryCfg:
        """Return what is run."""
        chip = TraineeChipCfg(
            memory=cli.memory(self.memory),
            scale=self.scale,
            off_device=self.off_device,
            read_noise=self.read_noise,
            bits=self.bits,
            headroom=self.headroom,
            gains=self.gains,
            generator=self.generator,
            age_s=self.age_s,
            write=write,
        )
        return TrajectoryCfg(self.chips, self.targets, self.seed, chip, self.controls, self.retention)

    def described(self, write: WriteCfg) -> dict[str, Any]:
        """Return how metrics were made, for metrics.json."""
        config = {k: str(v) if isinstance(v, Path) else v for k, v in dataclasses.asdict(self).items()}
        return {"command": cli.command_line(), "config": config, "write": dataclasses.asdict(write)}


def run(cfg: EvaluateTrajectory) -> Path:
    """Evaluate, print the table, write the folder; return it."""
    with cli.wrong_input():
        weights, networks, write = cfg.learner()
        protocol, folder = cfg.protocol(write), cli.run_folder(cfg.out, "evaluate-trajectory")
        cli.pick_device(cfg.device)
        targets, learnt = evaluate(weights, networks, protocol)
    metrics = figures(protocol, learnt) | played_figures(targets, learnt, cfg.playback, cfg.hold_s)
    metrics |= cfg.described(write)
    cli.write_json(folder / "metrics.json", metrics)
    print(table(metrics))
    print(folder)
    return folder


def table(metrics: dict[str, Any]) -> str:
    """Return the table for people."""
    low, high = metrics["tip_rmse_cm_ci95"]
    base, shoulder = metrics["velocity_rmse_rad_s"]
    where = "in software" if metrics["memory"] == "float" else f"on {metrics['chips']} chips of {metrics['memory']}"
    lines = [
        f"{metrics['targets']} fresh trajectories, each shown once, {where}: error of the tip, cm",
        f"{'after the one write':<40}{metrics['tip_rmse_cm']:8.2f}   sd {metrics['tip_rmse_cm_std']:.2f}, "
        f"95 % interval {low:.2f} to {high:.2f}",
        f"{'without the write':<40}{metrics['before_tip_rmse_cm']:8.2f}",
    ]
    rows = {"with the signals of another target": metrics["shuffled_tip_rmse_cm"]}
    rows |= {f"{age} after the write": value for age, value in metrics["retention_tip_rmse_cm"].items()}
    lines += [f"{name:<40}{value:8.2f}" for name, value in rows.items() if value is not None]
    if metrics["mujoco_tip_rmse_cm"] is not None:
        name = f"{metrics['mujoco_trajectories']} played on the MuJoCo Scorbot"
        by_kinematics = metrics["mujoco_kinematic_tip_rmse_cm"]
        lines.append(f"{name:<40}{metrics['mujoco_tip_rmse_cm']:8.2f}   by kinematics {by_kinematics:.2f}")
    lines.append(f"joint velocities, base and shoulder: {base:.3f}, {shoulder:.3f} rad/s")
    lines.append(
        f"{metrics['weights_written']:,.0f} weights and {metrics['devices_written']:,.0f} devices written; "
        f"{metrics['write_energy_j'] * 1e6:.1f} uJ for the write, {metrics['energy_j'] * 1e6:.1f} uJ in all"
    )
    return "\n".join(lines)
