"""The delta learner on simulated chips: fixed layers programmed once, a head for every task that may be written."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pcm_backend import Crossbar, CrossbarCfg, deploy

from .delta import DeltaLearner
from .network import Reading


@dataclass(frozen=True)
class ChipCfg:
    """How the policy lies on the chip."""

    memory: str = "hermes_2"
    """Device model of every crossbar."""
    scale: str = "column"
    """What shares one factor from weight to conductance."""
    head_slices: int = 2
    """Pairs per weight of the head: the second holds the error that the first left."""
    slice_ratio: float = 8.0
    """Range of the first slice over that of the second."""
    headroom: float = 1.3
    """Range of the head over the largest weight that meta-training saw after adaptation."""
    bits: int = 8
    """Resolution of the converters; 0: none."""
    read_noise: str = "each"
    """When read noise is drawn."""
    age_s: float = 3600.0
    """Age of the programmed chip when the first task begins, s."""
    lesson_interval_s: float = 2.0
    """Time from one write to the next, s: one episode."""


class ChipSubstrate:
    """K chips, T tasks on each; every task begins on the chip as deployed and goes its own way."""

    def __init__(self, fixed: Any, head: Crossbar, n_chips: int, n_tasks: int, interval_s: float) -> None:
        self.fixed_layers, self.head_array = fixed, head
        self.n_chips, self.n_tasks, self._interval_s = n_chips, n_tasks, interval_s

    def fixed(self, x: Tensor) -> Reading:
        """Read the fixed layers for (K x T, steps, n_inputs): one batch a chip, since no task writes them."""
        steps = x.shape[1]
        reading = Reading(*self.fixed_layers(x.reshape(self.n_chips, self.n_tasks * steps, -1)))
        return Reading(*(part.reshape(self.n_chips * self.n_tasks, steps, -1) for part in reading))

    def head(self, features: Tensor) -> Tensor:
        """Read every task's head."""
        return self.head_array(features)

    def write(self, increment: Tensor) -> Any:
        """Write every task's head, and let the clock run until the next lesson."""
        report = self.head_array.write(increment)
        self.advance(self._interval_s, calibrate=False)
        return report

    def advance(self, seconds: float, *, calibrate: bool = True) -> None:
        """Let everything age together."""
        self.fixed_layers.advance(seconds, calibrate=calibrate)
        self.head_array.advance(seconds, calibrate=calibrate)

    def energy_j(self) -> Any:
        """Return the joules so far per chip and task, (K x T,); what all tasks of a chip share is split evenly."""
        shared = self.fixed_layers.ledger.energy_j() / self.n_tasks
        return (shared.repeat_interleave(self.n_tasks) + self.head_array.ledger.energy_j()).numpy()

    def state(self) -> dict[str, Any]:
        """Return a copy of every device's state."""
        return copy.deepcopy({"fixed": self.fixed_layers.state_dict(), "head": self.head_array.state_dict()})

    def restore(self, state: dict[str, Any]) -> None:
        """Go back to a state."""
        state = copy.deepcopy(state)
        self.fixed_layers.load_state_dict(state["fixed"])
        self.head_array.load_state_dict(state["head"])


def deploy_learner(
    learner: DeltaLearner, calibration: dict[str, Tensor], cfg: ChipCfg, n_chips: int, n_tasks: int, seed: int
) -> ChipSubstrate:
    """Program K chips once, age them, and give each of T tasks its own copy of the head.

    Args:
        learner: What was meta-trained.
        calibration: Inputs and the head's working range, from the checkpoint.
        cfg: How it lies on the chip.
        n_chips: K.
        n_tasks: T.
        seed: Same seed, same chips.
    """
    generator = torch.Generator().manual_seed(seed)
    common: dict[str, Any] = {
        "device": cfg.memory,
        "scale": cfg.scale,
        "read_noise": cfg.read_noise,
        "dac_bits": cfg.bits,
        "adc_bits": cfg.bits,
    }
    head_cfg = CrossbarCfg(
        **common,
        in_range=1.5,
        w_range=tuple((cfg.headroom * calibration["head_range"]).tolist()),
        out_range=tuple((cfg.headroom * calibration["head_output"]).tolist()),
        slices=cfg.head_slices,
        slice_ratio=cfg.slice_ratio,
    )
    fixed = deploy(
        learner.fixed,
        CrossbarCfg(**common),
        n_chips=n_chips,
        generator=generator,
        calibration=calibration["inputs"],
    )
    head = Crossbar(learner.head.detach(), head_cfg, n_chips=n_chips, generator=generator)
    substrate = ChipSubstrate(fixed, head, n_chips, 1, cfg.lesson_interval_s)
    if cfg.age_s > 0:
        substrate.advance(cfg.age_s)
    return ChipSubstrate(fixed, head.copies(n_tasks), n_chips, n_tasks, cfg.lesson_interval_s)
