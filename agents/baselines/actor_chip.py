"""PPO's and RL2's policies on what they live on: in software, or on chips, programmed once and never written again."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pcm_backend import PERIPHERIES, CrossbarCfg, deploy

from ..bill import Bill
from ..chip import CORE, ChipCfg
from .actors import LstmActor, Trained


class SoftwareActor:
    """An actor as it was trained."""

    def __init__(self, trained: Trained, n_arms: int) -> None:
        """Take an actor for N arms."""
        self._actor, self._remembers, self._n_arms = trained.actor, isinstance(trained.actor, LstmActor), n_arms

    def __call__(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Return commands (N, J) for scaled observations (N, n_obs), and what is remembered."""
        if not self._remembers:
            return self._actor(x), None
        command, state = self._actor(x[None], state)
        return command[0], state

    def bill(self) -> Bill:
        """Return zeros: software is not billed."""
        return Bill.nothing(self._n_arms)

    def advance(self, seconds: float, *, calibrate: bool = True) -> None:
        """Let time pass: software does not age."""


class ChipActor:
    """An actor on K chips. Arms are chip-major: the tasks of chip 0 first; no task writes, so they share their chip."""

    def __init__(self, deployed: Any, n_chips: int, n_tasks: int, remembers: bool) -> None:
        """Take K chips for T tasks on each."""
        self.deployed, self._n_chips, self._n_tasks, self._remembers = deployed, n_chips, n_tasks, remembers

    def __call__(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Return commands (K x T, J) for scaled observations (K x T, n_obs), and what is remembered."""
        x = x.reshape(self._n_chips, -1, x.shape[-1])
        if not self._remembers:
            return self.deployed(x).flatten(0, 1), None
        command, state = self.deployed(x[:, None], state)
        return command[:, 0].flatten(0, 1), state

    def bill(self) -> Bill:
        """Return the bill so far, per chip and task."""
        return Bill.of(self.deployed.ledger, self._n_tasks)

    def advance(self, seconds: float, *, calibrate: bool = True) -> None:
        """Let the chips age; their compensation is then measured anew or (False) not."""
        self.deployed.advance(seconds, calibrate=calibrate)


def deploy_actor(trained: Trained, cfg: ChipCfg, n_chips: int, n_tasks: int, seed: int) -> ChipActor:
    """Program K chips once and age them.

    Args:
        trained: The policy; its calibration sets the converters' ranges.
        cfg: How it lies on the chip: memory, slices, rows, bits, faults and age.
        n_chips: K.
        n_tasks: T, tasks on each chip.
        seed: Same seed, same chips.
    """
    generator = torch.Generator().manual_seed(seed)
    layers = {name: _lie(module, cfg) for name, module in trained.actor.named_modules() if _rows(module)}
    deployed = deploy(
        trained.actor, n_chips=n_chips, generator=generator, calibration=trained.calibration, layers=layers
    )
    if cfg.age_s > 0:
        deployed.advance(cfg.age_s)
    return ChipActor(deployed, n_chips, n_tasks, isinstance(trained.actor, LstmActor))


def _rows(module: nn.Module) -> int:
    """Return how many rows a layer takes, its bias included; 0 where it has no matrix."""
    if isinstance(module, nn.Linear):
        return module.in_features + 1
    return module.input_size + module.hidden_size + 1 if isinstance(module, nn.LSTM) else 0


def _lie(module: nn.Module, cfg: ChipCfg) -> CrossbarCfg:
    """Return how a layer lies on its core: as many rows per weight as the core has room for."""
    return CrossbarCfg(
        device=cfg.memory,
        scale=cfg.scale,  # type: ignore[arg-type]
        read_noise=cfg.read_noise,  # type: ignore[arg-type]
        periphery=PERIPHERIES[cfg.periphery](),
        dac_bits=cfg.bits,
        adc_bits=cfg.bits,
        faults=cfg.faults(),
        slices=cfg.fixed_slices,
        slice_ratio=cfg.slice_ratio,
        rows_per_weight=max(1, min(cfg.fixed_rows, CORE // _rows(module))),
    )


def as_observation(observation: Any) -> Tensor:
    """Return observations as a float32 tensor."""
    return torch.from_numpy(np.asarray(observation, dtype=np.float32))
