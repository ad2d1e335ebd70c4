"""One-shot learning by natural e-prop: eligibility traces, learning signals, the one update, and what the arm does.

Ortner, Petschenig et al., Nat. Commun. 16:1243 (2025), equations 4 and 14 to 18. A trainee that hears only a clock runs
once while a generator sees the target and emits learning signals; one update later the trainee drives the arm.
Arrays are time first; B targets are split over K chips, chip-major.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from envs.trajectories import N_CLOCK, N_CODE, STEP_S, Coding, tip_position

from .spiking import STEP, NeuronCfg, SpikeFunction, run_neurons
from .sums import filtered, spike_product

N_JOINTS = 2


@dataclass(frozen=True)
class EpropCfg:
    """Both networks and the update."""

    trainee: NeuronCfg = field(default_factory=lambda: NeuronCfg(n=250, threshold=0.6))
    """The network that drives the arm."""
    lsg: NeuronCfg = field(default_factory=lambda: NeuronCfg(n=800, threshold=1.3, n_adaptive=240))
    """The generator of learning signals."""
    tau_readout_ms: float = 20.0
    """Time constant of both leaky readouts."""
    inner_rate: float = 1e-4
    """Rate of the one update."""
    coding: Coding = "binary"
    """How the generator sees the target."""
    clock_gain: float = 1.0
    """Amplitude with which the clock drives the trainee's input lines. Input weights and their increments are smaller
    by it: on a chip they share each output line's range with the recurrent weights, which need it more."""

    @property
    def readout_decay(self) -> float:
        """Share of a readout left after a step."""
        return math.exp(-1.0 / self.tau_readout_ms)

    @property
    def shapes(self) -> dict[str, tuple[int, int]]:
        """Shapes of the weights by name."""
        n, m = self.trainee.n, self.lsg.n
        plastic = {"W_in": (N_CLOCK, n), "W_rec": (n, n), "W_out": (n, N_JOINTS)}
        return {**plastic, "W_in_lsg": (N_CLOCK + N_CODE, m), "W_rec_lsg": (m, m), "W_out_lsg": (m, n)}


class Weights(NamedTuple):
    """All that meta-training learns, rows to columns, under the names of the published arrays."""

    W_in: Tensor
    """(5, N)"""
    W_rec: Tensor
    """(N, N)"""
    W_out: Tensor
    """(N, 2)"""
    W_in_lsg: Tensor
    """(53, M)"""
    W_rec_lsg: Tensor
    """(M, M)"""
    W_out_lsg: Tensor
    """(M, N)"""


class Plastic(NamedTuple):
    """Weights of the trainee that live on the chip, for G chips or targets."""

    w_in: Tensor
    """(G, 5, N)"""
    w_rec: Tensor
    """(G, N, N)"""


class Activity(NamedTuple):
    """A run of the trainee."""

    spikes: Tensor
    """(T, G, N)"""
    slope: Tensor
    """Pseudo-derivatives. (T, G, N)"""


def draw_weights(cfg: EpropCfg, generator: torch.Generator) -> Weights:
    """Return random weights, as the released code draws them."""
    n, m = cfg.trainee.n, cfg.lsg.n

    def normal(rows: int, columns: int) -> Tensor:
        return torch.randn(rows, columns, generator=generator) / math.sqrt(rows)

    glorot = math.sqrt(6.0 / (m + n))
    return Weights(
        normal(N_CLOCK, n) / cfg.clock_gain,
        normal(n, n).fill_diagonal_(0.0),
        normal(n, N_JOINTS) * (1.0 - cfg.readout_decay),
        normal(N_CLOCK + N_CODE, m),
        normal(m, m).fill_diagonal_(0.0),
        (2.0 * torch.rand(m, n, generator=generator) - 1.0) * glorot,
    )


def run_trainee(
    held: Plastic,
    clock: Tensor,
    cfg: EpropCfg,
    function: SpikeFunction = STEP,
    coarse: bool = False,
    noise: Tensor | None = None,
) -> Activity:
    """Run the trainee on the clock (T, 5), once for each set of weights; noise (T, G, N) is added to its currents."""
    current = torch.einsum("ti,gin->tgn", cfg.clock_gain * clock, held.w_in)
    if noise is not None:
        current = current + noise
    spikes, slope = run_neurons(current.unsqueeze(2), held.w_rec, cfg.trainee, function, coarse)
    return Activity(spikes.squeeze(2), slope.squeeze(2))


def learning_signals(
    weights: Weights,
    clock: Tensor,
    code: Tensor,
    cfg: EpropCfg,
    function: SpikeFunction = STEP,
    coarse: bool = False,
) -> tuple[Tensor, Tensor]:
    """Return learning signals (T, B, N) for coded targets (T, B, 48), and the generator's spikes (T, B, M)."""
    seen = torch.cat([clock.unsqueeze(1).expand(-1, code.shape[1], -1), code], -1)
    current = (seen @ weights.W_in_lsg).unsqueeze(1)
    spikes = run_neurons(current, weights.W_rec_lsg.unsqueeze(0), cfg.lsg, function, coarse)[0].squeeze(1)
    return filtered(spike_product(spikes, weights.W_out_lsg, function.sparse, coarse), cfg.readout_decay), spikes


def increments(first: Activity, signals: Tensor, clock: Tensor, cfg: EpropCfg) -> Plastic:
    """Return the natural e-prop update for B targets on K chips: -rate sum_t L_j h_j trace_i (equations 4, 14, 15).

    Args:
        first: The first run on each of the K chips.
        signals: Learning signals. Shape: (T, B, N), chip-major.
        clock: The trainee's input. Shape: (T, 5).
        cfg: The networks.
    """
    n_steps, n_chips, n = first.spikes.shape
    n_targets = signals.shape[1] // n_chips
    decay = cfg.trainee.membrane_decay
    late = torch.cat([torch.zeros_like(first.spikes[:1]), first.spikes[:-1]])
    ticks = filtered(clock / cfg.clock_gain, decay)
    trace = torch.cat([ticks.unsqueeze(1).expand(-1, n_chips, -1), filtered(late, decay)], -1)
    told = signals.view(n_steps, n_chips, n_targets, n) * first.slope.unsqueeze(2)
    change = torch.bmm(trace.permute(1, 2, 0), told.permute(1, 0, 2, 3).reshape(n_chips, n_steps, -1))
    change = change.view(n_chips, -1, n_targets, n).transpose(1, 2).reshape(n_chips * n_targets, -1, n)
    change = -cfg.inner_rate * change
    others = 1.0 - torch.eye(n, dtype=change.dtype, device=change.device)  # no neuron reaches itself
    return Plastic(change[:, : clock.shape[1]], change[:, clock.shape[1] :] * others)


def velocities(spikes: Tensor, w_out: Tensor, cfg: EpropCfg) -> Tensor:
    """Return joint velocities (T, B, 2), rad/s, from the trainee's spikes (T, B, N)."""
    return filtered(spikes @ w_out, cfg.readout_decay)


def path(velocity_rad_s: Tensor) -> Tensor:
    """Return where the tip goes under joint velocities (T, B, 2): (T, B, 3), m."""
    return tip_position(STEP_S * velocity_rad_s.cumsum(0), torch)


def tip_rmse_m(tip_m: Tensor, target_m: Tensor) -> Tensor:
    """Return the root of the mean over time of the squared distance, for each target. Shapes: (T, B, 3) to (B,)."""
    return (tip_m - target_m).square().sum(-1).mean(0).sqrt()
