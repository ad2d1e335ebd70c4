"""How an increment becomes what is asked of the devices: spared, rounded to a grid, or gathered to whole steps.

Everything here works on weights, before any conductance is known. The pulses themselves are in `writing` (verify),
`trains` (blind and SET-only) and `first_programming`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, get_args

import torch
from torch import Tensor

from .checks import check_tensor
from .gdp import GdpCfg
from .looks import LooksCfg

Method = Literal["verify", "blind", "set_only", "stochastic", "mixed"]
Pulses = Literal["verify", "blind", "set_only"]
First = Literal["verify", "max_set_fill", "gdp"]
Base = Literal["read", "target"]


@dataclass(frozen=True)
class UpdateCfg:
    """Ways to turn an increment into pulses, and to spare them."""

    method: Method = "verify"
    """`verify`: program and verify each touched pair. `blind`: one train of SET pulses on the device that must grow,
    counted by the mean step and never looked at. `set_only`: the same train counted from what a read finds; a device
    that comes to its end is refreshed: both are RESET and the difference is programmed. `stochastic`: the increment is
    rounded to a grid at random, without bias. `mixed`: increments gather in a digital accumulator, and only whole steps
    are written (Nandakumar, Front. Neurosci. 2020, 10.3389/fnins.2020.00406)."""
    by: Pulses = "verify"
    """How the steps that `stochastic` and `mixed` let through are written."""
    first: First = "verify"
    """First programming: `verify`; `max_set_fill`: both devices of a polarity one after the other, only one of them in
    between its ends (Vasilopoulos TED 2023); `gdp`: by the error of products (Buechel 2023, arXiv 2305.16647)."""
    gdp: GdpCfg = field(default_factory=GdpCfg)
    """How far `gdp` descends."""
    looks: LooksCfg = field(default_factory=LooksCfg)
    """Second looks after the first programming and after every write, with reads and pulses of their own; by default
    none. What a read finds of a weight is then the goal of all tries at it."""
    base: Base = "read"
    """What an increment is added to: the weight as a verify read finds it, or a digital copy of the targets, kept from
    deployment on (4 bytes a weight)."""
    step: float | None = None
    """Grid of `stochastic` and `mixed`, in units of weights; None: `step_share` of the range of each line."""
    step_share: float = 1.0 / 16.0
    """Grid over the range of a line: a sixteenth as on HERMES (Ortner, Nat. Commun. 2025, released code, pcm.py)."""
    threshold: float = 0.0
    """Increments smaller than this are not written, in units of weights."""
    top_k: int | float | None = None
    """Of each chip only the largest increments are written: so many (a whole number) or this share of all cells."""
    refresh_share: float = 0.75
    """`set_only`: a device asked to grow beyond this share of the largest conductance has its pair refreshed (aihwkit,
    OneSidedUnitCell, refresh at .75 of w_max)."""

    blind_step_at: float = 0.25
    """`blind`: share of the range at which a device is supposed to stand when pulses are counted: steps shrink as it
    grows, so increments of smaller devices come out too large and those of larger ones too small."""

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        for name, choices in (("method", Method), ("by", Pulses), ("first", First), ("base", Base)):
            if getattr(self, name) not in get_args(choices):
                raise ValueError(f"unknown {name} {getattr(self, name)!r}; choose from {list(get_args(choices))}")
        if self.step is not None and not 0.0 < self.step < math.inf:
            raise ValueError(f"step must be positive and finite, got {self.step!r}")
        for name in ("step_share", "refresh_share", "blind_step_at"):
            if not 0.0 < getattr(self, name) <= 1.0:
                raise ValueError(f"{name} must lie above 0 and be at most 1, got {getattr(self, name)!r}")
        if not 0.0 <= self.threshold < math.inf:
            raise ValueError(f"threshold must be zero or more and finite, got {self.threshold!r}")
        if self.pulses != "verify" and self.looks.rounds:
            raise ValueError(f"looks verify, and writes by {self.pulses!r} do not; choose looks of 0 rounds")
        if self.pulses == "blind" and self.base == "target":
            raise ValueError('base="target" needs reads, and blind trains take none; choose from ["read"]')
        check_top_k(self.top_k)

    @property
    def pulses(self) -> Pulses:
        """How the devices are pulsed in the end."""
        return self.by if self.method in ("stochastic", "mixed") else self.method  # type: ignore[return-value]

    @property
    def writes_what_it_is_given(self) -> bool:
        """Whether increments are written as they come, so that nothing is kept or drawn for each weight."""
        return self.method not in ("stochastic", "mixed") and self.base == "read"

    @property
    def gathers(self) -> bool:
        """Whether increments wait in a digital accumulator."""
        return self.method == "mixed"

    def grid(self, limit: Tensor) -> Tensor:
        """Return the step of the grid in units of weights; `limit` is the range of each line, of any shape."""
        return limit * self.step_share if self.step is None else torch.full_like(limit, self.step)


def check_top_k(top_k: Any) -> None:
    """Refuse what is neither a count, a share nor None."""
    if top_k is None:
        return
    counts = isinstance(top_k, int) and not isinstance(top_k, bool) and top_k >= 1
    if not counts and not (isinstance(top_k, float) and 0.0 < top_k <= 1.0):
        raise ValueError(
            f"top_k must be a count (int, 1 or more), a share (float, above 0 to 1) or None, got {top_k!r}"
        )


def spare(delta: Tensor, mask: Tensor | None, cfg: UpdateCfg, n_chips: int) -> Tensor:
    """Return the increments that are worth a write, exactly zero elsewhere: by mask, then by size, then by rank.

    Args:
        delta: Shape (K, out, in), or (out, in) for all chips.
        mask: True where a cell may be written, of one of these shapes; None: everywhere.
        cfg: Threshold and top-k.
        n_chips: K.

    Returns:
        Shape (K, out, in); as delta was where one for all is enough.
    """
    if (cfg.threshold > 0.0 or not cfg.writes_what_it_is_given) and not bool(torch.isfinite(delta).all()):
        raise ValueError("delta must be finite, got NaN or infinity")  # here it would be dropped or gathered unseen
    if mask is not None:
        delta = delta * check_mask(mask, (n_chips, *delta.shape[-2:]))
    if cfg.threshold > 0.0:
        delta = torch.where(delta.abs() >= cfg.threshold, delta, 0.0)
    if cfg.top_k is not None:
        delta = keep_largest(delta if delta.dim() == 3 else delta.unsqueeze(0), cfg.top_k).view_as(delta)
    return delta if cfg.writes_what_it_is_given else delta.expand(n_chips, *delta.shape[-2:])


def check_mask(mask: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Return a mask that is one of increments of this shape, or name its shape and type."""
    check_tensor("mask", mask)
    if mask.dtype != torch.bool or tuple(mask.shape) not in (shape, shape[1:]):
        raise ValueError(f"mask must be bool, {shape} or {shape[1:]}, got {mask.dtype}, {tuple(mask.shape)}")
    return mask


def keep_largest(delta: Tensor, top_k: int | float) -> Tensor:
    """Return the k largest increments of every chip and zeros; a share is rounded up, so that something is kept."""
    flat = delta.flatten(1)
    n_kept = min(top_k if isinstance(top_k, int) else math.ceil(top_k * flat.shape[1]), flat.shape[1])
    kept = flat.abs().topk(n_kept, 1, sorted=False).indices
    return torch.zeros_like(flat).scatter_(1, kept, flat.gather(1, kept)).view_as(delta)


def round_stochastically(delta: Tensor, step: Tensor, uniform: Tensor) -> Tensor:
    """Return delta on a grid, rounded up with the chance of the remainder: the mean over the draws is delta itself.

    Args:
        delta: Increments; zero stays zero.
        step: Grid, broadcast to delta.
        uniform: Numbers in [0, 1), of the shape of delta.
    """
    steps = delta / step
    below = torch.floor(steps)
    return (below + (uniform < steps - below).to(delta.dtype)) * step


class Gathered(NamedTuple):
    """What an accumulator lets out and what it keeps; both of the shape of the increments."""

    write: Tensor
    """Whole steps, zero where the sum is still less than one."""
    left: Tensor
    """Accumulator afterwards, smaller than a step everywhere."""


def gather(accumulator: Tensor, delta: Tensor, step: Tensor) -> Gathered:
    """Add increments to an accumulator and take the whole steps out of it, rounded towards zero.

    Nandakumar 2020, 10.3389/fnins.2020.00406: chi <- chi + delta, p = floor(|chi| / eps) pulses of the sign of chi,
    chi <- chi - p eps.
    """
    total = accumulator + delta
    write = torch.trunc(total / step) * step
    return Gathered(write, total - write)
