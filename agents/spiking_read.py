"""Spiking neurons whose currents somebody else supplies, a step at a time: a chip that is read at every step."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from .spiking import STEP, NeuronCfg

Read = Callable[[int, Tensor], Tensor]
"""Currents of step t for the spikes one step before. Shape: (..., N) to (..., N)."""


@torch.no_grad()
def run_read(read: Read, n_steps: int, shape: tuple[int, ...], cfg: NeuronCfg) -> tuple[Tensor, Tensor]:
    """Return spikes and pseudo-derivatives (T, *shape, N): `spiking.run_neurons` on currents that are read.

    Args:
        read: Called once at each step.
        n_steps: T.
        shape: Sequences that run side by side.
        cfg: The neurons.
    """
    plain = cfg.n - cfg.n_adaptive
    z, v, s = (torch.zeros(*shape, cfg.n) for _ in range(3))
    threshold, adaptation = torch.full_like(v, cfg.threshold), v.new_zeros(*shape, cfg.n_adaptive)
    awake_at = torch.zeros_like(v)
    spikes, distances = torch.empty(n_steps, *shape, cfg.n), torch.empty(n_steps, *shape, cfg.n)
    for t in range(n_steps):
        if cfg.n_adaptive:
            adaptation.mul_(cfg.adaptation_decay).add_(z[..., plain:])
            torch.add(cfg.threshold, adaptation, alpha=cfg.beta, out=threshold[..., plain:])
        v.mul_(cfg.membrane_decay).add_(read(t, z)).addcmul_(z, threshold, value=-1.0)
        s = torch.sub(v, threshold, out=distances[t]).masked_fill_(awake_at > t, -torch.inf)
        z = torch.gt(s, 0.0, out=spikes[t])
        awake_at.masked_fill_(z.bool(), float(t + cfg.refractory_steps))
    return spikes, STEP.slope(distances, cfg)
