"""What a chip does to the trainee's weights, cheap enough for every iteration of meta-training.

Straight-through: gradients pass as if the error were a constant. Deployment goes through the real thing, `pcm_backend`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from pcm_backend import DEVICES

from .eprop import Activity, Plastic


@dataclass(frozen=True)
class WriteCfg:
    """Which increments are written."""

    rule: Literal["all", "rounded", "top_k"] = "all"
    """"all": every one that is not zero; "rounded": stochastically rounded to a grid; "top_k": the largest ones."""
    grid: float = 1.0 / 16.0
    """Distance of the values that "rounded" writes."""
    share: float = 0.1
    """Share of the weights that "top_k" writes, for each target."""

    def __post_init__(self) -> None:
        """Refuse what is no grid or share."""
        if self.rule not in ("all", "rounded", "top_k"):
            raise ValueError(f"unknown write rule {self.rule!r}; choose from ['all', 'rounded', 'top_k']")
        if not 0.0 < self.grid < math.inf:
            raise ValueError(f"grid must be positive and finite, got {self.grid}")
        if not 0.0 < self.share <= 1.0:
            raise ValueError(f"share must be above 0 and at most 1, got {self.share}")


def written(change: Plastic, cfg: WriteCfg, generator: torch.Generator) -> Plastic:
    """Return the increments (B, ...) that are written; what is not written is exactly 0. Gradients pass straight."""
    if cfg.rule == "all":
        return change
    both = torch.cat([change.w_in, change.w_rec], 1)
    exact = both.detach()
    if cfg.rule == "rounded":
        drawn = torch.rand(exact.shape, generator=generator).to(exact)
        kept = drawn.add_(exact, alpha=1.0 / cfg.grid).floor_().mul_(cfg.grid)
    else:
        size = exact.abs().flatten(1)
        limit = size.kthvalue(size.shape[1] - max(1, round(cfg.share * size.shape[1])), dim=1, keepdim=True).values
        kept = torch.where((size > limit).view_as(exact), exact, 0.0)
    both = _Straight.apply(both, kept)
    return Plastic(both[:, : change.w_in.shape[1]], both[:, change.w_in.shape[1] :])


class _Straight(torch.autograd.Function):
    """Other values with the gradient of the ones they stand for."""

    @staticmethod
    def forward(ctx: Any, exact: Tensor, kept: Tensor) -> Tensor:
        return kept

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return grads[0], None


def column_range(held: Plastic, headroom: float) -> Tensor:
    """Return the weight that full conductance stands for on each output line, shared by both matrices. (G, 1, N)."""
    both = torch.cat([held.w_in, held.w_rec], 1).detach()
    return both.abs().amax(1, keepdim=True) * headroom


def programmed(target: Tensor, w_range: Tensor, device: str, generator: torch.Generator) -> Tensor:
    """Return weights as pairs of devices hold them right after programming, both devices with their error.

    The device of the other sign is programmed to zero; cut there, its error is half a normal distribution, with mean
    sigma / sqrt(2 pi) and variance sigma^2 (1/2 - 1 / (2 pi)). One normal number stands for both.
    """
    weight = target.detach()
    return target + _error(weight / w_range, device, generator).mul_(w_range)


def _error(share: Tensor, device: str, generator: torch.Generator) -> Tensor:
    """Return the errors of weights given as shares of their range, in the same unit."""
    fit = DEVICES[device].fit
    off = float(fit.programming_sigma_us(torch.zeros(1))) / fit.g_max_us
    sigma = fit.programming_sigma_us(share.abs().clamp_(max=1.0)).div_(fit.g_max_us)
    sigma.square_().add_(off**2 * (0.5 - 0.5 / math.pi)).sqrt_()
    error = sigma.mul_(torch.randn(share.shape, generator=generator).to(share))
    return error.sub_(share.sign(), alpha=off / math.sqrt(2.0 * math.pi))


def chips(
    held: Plastic, n_chips: int, headroom: float, device: str, age_s: float, generator: torch.Generator
) -> Plastic:
    """Return the software's weights (1, ...) as `n_chips` chips hold them when that old."""
    w_range = column_range(held, headroom)
    n_in, n = held.w_in.shape[-2:]
    both = torch.cat([held.w_in, held.w_rec], 1).expand(n_chips, -1, -1)
    both = drifted(programmed(both, w_range, device, generator), w_range, device, age_s, generator)
    return Plastic(both[:, :n_in], both[:, n_in:] * (1.0 - torch.eye(n)).to(both))


def drifted(weight: Tensor, w_range: Tensor, device: str, age_s: float, generator: torch.Generator) -> Tensor:
    """Return weights (G, rows, N) after drift, compensated by one factor for each output line.

    Small conductances drift faster than large ones and each by an exponent of its own, which no factor makes good: in
    an hour hermes_2 takes a tenth of the small weights and adds a third to the error of the large ones.
    """
    fit = DEVICES[device].fit
    now = weight.detach()
    mean, spread = fit.drift_exponent((now.abs() / w_range).clamp_(1e-7, 1.0))
    nu = (mean + spread * torch.randn(now.shape, generator=generator).to(now)).abs_()
    left = now * torch.exp(nu.mul_(-math.log1p(age_s / fit.t0_s)))
    factor = (now.square().sum(1, keepdim=True) / left.square().sum(1, keepdim=True)).sqrt_()
    return weight + (left * factor).sub_(now)


def rewritten(
    old: Plastic, change: Plastic, w_range: Tensor, device: str | None, generator: torch.Generator
) -> Plastic:
    """Return the weights (B, ...) after a write: old (B, ...) plus change, with new error where written."""
    result = []
    for before, step in zip(old, change, strict=True):
        target = torch.clamp(before + step, -w_range, w_range)
        if device is not None:
            where = step.detach().flatten().nonzero().squeeze(-1)
            span = w_range.expand_as(target).flatten()[where]
            error = _error(target.detach().flatten()[where] / span, device, generator).mul_(span)
            target = target + torch.zeros_like(target).view(-1).index_copy_(0, where, error).view_as(target)
        result.append(target)
    return Plastic(*result)


def read_current(
    held: Plastic, w_range: Tensor, rate: float, n_steps: int, device: str, age_s: float, generator: torch.Generator
) -> Tensor:
    """Return noise of the input currents as reads of the devices make it, at a mean rate of spikes. (T, G, N).

    Independent read errors sigma_i of the devices that spike give a current error of variance sum_i rate sigma_i^2.
    """
    fit = DEVICES[device].fit
    share = (held.w_rec.detach().abs() / w_range).clamp_(1e-7, 1.0)
    growth = math.log((age_s + fit.t0_s) / (2.0 * fit.t_read_s))
    sigma = share * fit.read_noise(share) * w_range * math.sqrt(growth)
    spread = sigma.square().sum(1).mul_(rate).sqrt_()
    return torch.randn(n_steps, *spread.shape, generator=generator).to(spread) * spread


def mean_rate(run: Activity) -> Tensor:
    """Return each neuron's spikes per step, the mean over time and runs. Shape: (N,)."""
    return run.spikes.mean((0, 1))
