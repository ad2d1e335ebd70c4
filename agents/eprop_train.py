"""Meta-training of the spiking arm: back-propagation through both runs and the update between them.

Rates and optimiser: Ortner, Petschenig et al., Nat. Commun. 16:1243 (2025); one lesson and its loss are in
`eprop_lesson`. Every draw depends on seed and iteration alone: a resumed run goes on as if it had never stopped.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from envs.trajectories import Coding, draw_targets

from .adam import adam_state, adam_tensors
from .checkpoint import check_arrays, entries, load, save, under
from .checks import check_at_least
from .eprop import EpropCfg, Weights, draw_weights, path, tip_rmse_m
from .eprop_lesson import ChipCfg, learn_once, lesson, losses


@dataclass(frozen=True)
class EpropTrainCfg:
    """Meta-training in software."""

    iterations: int = 100_000
    """Iterations in all, those before a resumption included."""
    batch: int = 90
    """Targets in one iteration."""
    rate: float = 1.5e-3
    """Adam's rate at the start, or where the run was resumed with other settings."""
    decay: float = 0.99
    """Factor on the rate for every 500 iterations."""
    inner_rate: float = 1e-4
    """Rate of the one update."""
    coding: Coding = "binary"
    """How the generator sees the target."""
    clock_gain: float = 1.0
    """Amplitude with which the clock drives the trainee's input lines."""
    clip_in: float = math.inf
    """Largest input weight of the trainee."""
    clip_rec: float = math.inf
    """Largest recurrent weight of the trainee."""
    grad_norm: float = math.inf
    """Largest norm of one gradient."""
    position: float = 1.0
    """Weight of the position's mean squared error, m^2, beside the velocity's, rad^2/s^2. The first is reported,
    and less than a tenth of the second, most of which is ripple that a path does not show."""
    regularisation: float = 0.25
    """Weight of the squared distance of every neuron's rate from the wanted one."""
    average: float = 0.99
    """Decay of the running mean of the weights, which is what is deployed; 0: the last weights."""
    coarse: bool = False
    """Take the products of the backward pass in bfloat16."""
    chip: ChipCfg = field(default_factory=ChipCfg)
    """Stand-ins for the chip."""
    seed: int = 0
    """Seed of weights, targets and chips."""
    threads: int = 2
    """Threads of torch; results are equal to the bit for equal numbers only."""

    def __post_init__(self) -> None:
        """Refuse what cannot run."""
        check_at_least(1, self, "iterations", "batch", "threads")
        for name in ("rate", "decay", "inner_rate", "clock_gain", "clip_in", "clip_rec", "grad_norm", "position"):
            if not getattr(self, name) > 0.0:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}")
        if not 0.0 <= self.average < 1.0:
            raise ValueError(f"average must be 0 or more and below 1, got {self.average}")
        if self.seed < 0:
            raise ValueError(f"seed must be 0 or more, got {self.seed}")
        if self.chip.memory != "float" and self.batch % self.chip.chips:
            raise ValueError(f"batch must be a multiple of chips, got {self.batch} and {self.chip.chips}")

    @property
    def networks(self) -> EpropCfg:
        """Both networks."""
        return EpropCfg(inner_rate=self.inner_rate, coding=self.coding, clock_gain=self.clock_gain)


class EpropTrainer:
    """The state of a meta-training run, whole after every iteration."""

    def __init__(self, cfg: EpropTrainCfg, device: torch.device | None = None) -> None:
        """Start a run from random weights."""
        self.cfg = cfg
        drawn = draw_weights(cfg.networks, torch.Generator().manual_seed(cfg.seed))
        self.weights = Weights(*(w.to(device or "cpu").requires_grad_() for w in drawn))
        self.mean = Weights(*(w.detach().clone() for w in self.weights))
        self.iteration = 0
        self.hours = 0.0
        self.parts: list[dict[str, Any]] = [{"from": 0, **settings(cfg)}]
        self._adam = torch.optim.Adam(self.weights, lr=cfg.rate)
        self._clip()

    def run_iteration(self) -> dict[str, float]:
        """Draw targets, learn each once, take one step of the outer loop; return what a log line needs."""
        cfg = self.cfg
        seed = (cfg.seed, 1, self.iteration)
        generator = torch.Generator().manual_seed(cfg.seed * 1_000_003 + self.iteration)
        task = lesson(draw_targets(cfg.batch, seed), cfg.coding, self.weights.W_in)
        outcome = learn_once(self.weights, task, cfg.networks, cfg.chip, generator, coarse=cfg.coarse)
        error, penalty = losses(outcome, task, cfg.regularisation, cfg.position)
        for group in self._adam.param_groups:
            group["lr"] = cfg.rate * cfg.decay ** ((self.iteration - self.parts[-1]["from"]) / 500)
        self._adam.zero_grad()
        (error + penalty).backward()
        norm = torch.nn.utils.clip_grad_norm_(self.weights, cfg.grad_norm)
        if bool(norm.isfinite()):
            self._adam.step()
        self._clip()
        self._follow()
        self.iteration += 1
        with torch.no_grad():
            tip = tip_rmse_m(path(outcome.velocity_rad_s), task.tip_m)
            share = torch.cat([c.flatten(1) for c in outcome.change], 1).ne(0).float().mean()
        return {
            "iteration": self.iteration,
            "tip_rmse_cm": 100.0 * float(tip.mean()),
            "error": error.item(),
            "penalty": penalty.item(),
            "norm": float(norm),
            "written": float(share),
            "trainee_hz": 1000.0 * float(outcome.second.spikes.detach().mean()),
            "lsg_hz": 1000.0 * float(outcome.lsg_spikes.detach().mean()),
        }

    @torch.no_grad()
    def _clip(self) -> None:
        """Keep the trainee's weights in range, and no neuron its own neighbour."""
        self.weights.W_in.clamp_(-self.cfg.clip_in, self.cfg.clip_in)
        self.weights.W_rec.clamp_(-self.cfg.clip_rec, self.cfg.clip_rec).fill_diagonal_(0.0)
        self.weights.W_rec_lsg.fill_diagonal_(0.0)

    @torch.no_grad()
    def _follow(self) -> None:
        """Move the running mean of the weights, at first the plain mean of the latest tenth."""
        decay = min(self.cfg.average, (self.iteration + 1) / (self.iteration + 10))
        for mean, now in zip(self.mean, self.weights, strict=True):
            mean.lerp_(now, 1.0 - decay)

    def save(self, path: Path) -> None:
        """Write the whole state; a run resumed from it ends as if it had never stopped."""
        tensors = {f"now.{n}": w for n, w in self.weights._asdict().items()}
        tensors |= {f"learner.{n}": w for n, w in self.mean._asdict().items()}
        save(path, tensors | adam_tensors("adam", self._adam), self.header())

    def header(self) -> dict[str, Any]:
        """Return what describes the run."""
        return {
            "learner": "eprop",
            "networks": dataclasses.asdict(self.cfg.networks),
            "iteration": self.iteration,
            "hours": round(self.hours, 4),
            "parts": self.parts,
        }

    def resume(self, path: Path) -> None:
        """Take up the state that `save` wrote; rates, batch and chip may differ from then on.

        Raises:
            ValueError: The checkpoint is of another learner, or of other networks.
        """
        tensors, header = load(path)
        ours = dataclasses.asdict(self.cfg.networks)
        if header.get("learner") != "eprop":
            raise ValueError(f"{path} is of learner {header.get('learner')!r}; choose from ['eprop']")
        if header.get("networks") != ours:
            raise ValueError(f"{path} is of {header.get('networks')}, not of {ours}; resume with the same networks")
        kept = {"now": self.weights._asdict(), "learner": self.mean._asdict()}
        found = {name: check_arrays(name, under(f"{name}.", tensors), own) for name, own in kept.items()}
        run, adam = entries(path, header, "iteration", "hours", "parts"), adam_state("adam", self._adam, tensors)
        with torch.no_grad():  # from here on nothing can fail
            for name, own in kept.items():
                for part, tensor in own.items():
                    tensor.copy_(found[name][part])
        self._adam.load_state_dict(adam)
        self.iteration, self.hours, self.parts = run
        now = settings(self.cfg)
        if {**self.parts[-1], "from": 0} != {**now, "from": 0}:
            self.parts = [*self.parts, {"from": self.iteration, **now}]
        self._clip()


def settings(cfg: EpropTrainCfg) -> dict[str, Any]:
    """Return the settings that shape a run, as JSON has them: not its length, nor its threads."""
    kept = dataclasses.asdict(cfg)
    for name in ("iterations", "threads"):
        kept.pop(name)
    return {name: None if value == math.inf else value for name, value in kept.items()}


def export(path: Path, trainer: EpropTrainer) -> None:
    """Write what deployment needs and no more: the running mean of the weights and what describes the run."""
    save(path, {f"learner.{n}": w for n, w in trainer.mean._asdict().items()}, trainer.header())
