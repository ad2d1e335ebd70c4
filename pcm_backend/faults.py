"""Devices that no longer do what they are told: stuck, on dead lines, worn out; and what a pair can still reach.

A conductance is the sum of its physical devices, each with an equal share of the range. What is broken therefore only
narrows the range that a conductance can be programmed to, [lowest, highest]: a device stuck SET adds its share to the
lowest, one that conducts nothing takes its share from the highest. Reads need no change, and a healthy array keeps none
of this.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor

Sticks = Literal["device", "conductance", "cell"]
KINDS = ("stuck_set", "stuck_reset", "dead_row", "dead_column", "worn")
"""What a device can suffer from; its code is the place here plus one, 0 is healthy."""
_SET, _RESET, _ROW, _COLUMN, _WORN = range(1, 6)


@dataclass(frozen=True)
class FaultCfg:
    """What is broken from the start, and how many pulses a device survives; the same chip seed breaks the same."""

    stuck_set: float = 0.0
    """Share of devices that conduct their largest conductance whatever they are told."""
    stuck_reset: float = 0.0
    """Share of devices that conduct nothing whatever they are told."""
    sticks: Sticks = "device"
    """What one stuck fault takes with it: a physical device, all devices of one polarity, or all of a cell; the shares
    are of these."""
    dead_rows: int = 0
    """Rows of each chip that conduct nothing, on all slices."""
    dead_columns: int = 0
    """Output lines of each chip that conduct nothing; slices lie on lines of their own."""
    endurance: float | None = None
    """Median of the pulses that a device survives; published: 1e6 or more (IBM patent US20210264978) to 1e8; None: any
    number. A worn device conducts nothing from the end of that write on: cycling opens a void above the heater."""
    endurance_spread: float = 0.5
    """Standard deviation of the logarithm of the endurance: log-normal; assumption."""

    def __post_init__(self) -> None:
        """Refuse shares, counts and pulses that cannot be."""
        for name in ("stuck_set", "stuck_reset"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name} must be a share, 0 to 1, got {getattr(self, name)!r}")
        if self.stuck_set + self.stuck_reset > 1.0:
            raise ValueError(f"stuck_set and stuck_reset add to {self.stuck_set + self.stuck_reset}, more than all")
        if self.sticks not in get_args(Sticks):
            raise ValueError(f"unknown sticks {self.sticks!r}; choose from {list(get_args(Sticks))}")
        for name in ("dead_rows", "dead_columns"):
            if not (isinstance(getattr(self, name), int) and getattr(self, name) >= 0):
                raise ValueError(f"{name} must be a whole number, 0 or more, got {getattr(self, name)!r}")
        if self.endurance is not None and not 0.0 < self.endurance < math.inf:
            raise ValueError(f"endurance must be positive and finite, or None, got {self.endurance!r}")
        if not 0.0 <= self.endurance_spread < math.inf:
            raise ValueError(f"endurance_spread must be zero or more and finite, got {self.endurance_spread!r}")

    @property
    def any(self) -> bool:
        """Whether anything is or can become broken."""
        lines = self.dead_rows + self.dead_columns
        return self.stuck_set + self.stuck_reset + lines > 0 or self.endurance is not None


class Faults(NamedTuple):
    """The health of every physical device. Shape of code: (n_physical, K, slices, 2, lines, rows)."""

    code: Tensor
    """0 healthy, else the place in `KINDS` plus one; uint8."""
    wear: Tensor | None
    """Pulses that each device of a conductance has received, float32, shape (K, slices, 2, lines, rows)."""
    endurance: Tensor | None
    """Pulses that a device survives, float32, of the shape of code."""


def stuck_codes(cfg: FaultCfg, uniform: Tensor) -> Tensor:
    """Return who is stuck from one number in [0, 1) for each that can be, and at what."""
    code = torch.zeros(uniform.shape, dtype=torch.uint8, device=uniform.device)
    code[uniform < cfg.stuck_set + cfg.stuck_reset] = _RESET
    code[uniform < cfg.stuck_set] = _SET
    return code


def stuck_shape(cfg: FaultCfg, n_physical: int, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape of what sticks together, which broadcasts to that of the devices.

    Args:
        cfg: Says what sticks together.
        n_physical: Physical devices in one conductance.
        shape: Shape of the conductances of one chip, (slices, 2, lines, rows).
    """
    slices, polarities, lines, rows = shape
    if cfg.sticks == "device":
        return (n_physical, slices, polarities, lines, rows)
    return (1, slices, polarities if cfg.sticks == "conductance" else 1, lines, rows)


def smallest(keys: Tensor, count: int, what: str) -> Tensor:
    """Return which `count` of the keys of each chip are smallest: a draw without replacement. Shape: (K, n), bool."""
    if count > keys.shape[1]:
        raise ValueError(f"{what} must be at most {keys.shape[1]}, the number that there are, got {count}")
    chosen = torch.zeros(keys.shape, dtype=torch.bool, device=keys.device)
    return chosen.scatter_(1, keys.topk(count, 1, largest=False).indices, True)


def with_dead_lines(code: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Return codes in which every device of a dead line is dead, whatever else it was.

    Args:
        code: Shape (n_physical, K, slices, 2, lines, rows).
        rows: Dead rows, shape (K, rows).
        columns: Dead output lines, shape (K, slices, lines).
    """
    code = torch.where(columns[:, :, None, :, None], _COLUMN, code)
    return torch.where(rows[:, None, None, None, :], _ROW, code).to(torch.uint8)


def endurances(cfg: FaultCfg, normal: Tensor) -> Tensor:
    """Return the pulses that each device survives, from standard normal numbers: log-normal about the median."""
    assert cfg.endurance is not None
    return cfg.endurance * torch.exp(cfg.endurance_spread * normal)


def limits_us(code: Tensor, g_max_us: float) -> tuple[Tensor, Tensor]:
    """Return the lowest and highest conductance that each pair's polarity can still be programmed to, uS.

    Shape: (n_physical, ...) to (...); the ends of a healthy conductance are 0 and `g_max_us`.
    """
    share_us = g_max_us / len(code)
    low, silent = (code == _SET).sum(0) * share_us, (code > _SET).sum(0) * share_us
    return low.float(), (g_max_us - silent).float()


def obstacles(code: Tensor, wanted_us: Tensor, reached_us: Tensor, tolerance_us: Tensor | float) -> Tensor:
    """Return which devices keep a conductance from its target, by kind. Shape: (kinds, n_physical, ...), bool.

    Args:
        code: Shape (n_physical, ...).
        wanted_us: Target, uS. Shape (...).
        reached_us: The nearest that could be programmed, uS, of the same shape.
        tolerance_us: Miss that the verify accepts, uS.
    """
    too_much, too_little = reached_us > wanted_us + tolerance_us, reached_us < wanted_us - tolerance_us
    kinds = [code == kind for kind in range(1, len(KINDS) + 1)]
    return torch.stack([kinds[0] & too_much, *(kind & too_little for kind in kinds[1:])])


def worn(faults: Faults, pulses: Tensor) -> tuple[Faults, Tensor]:
    """Add the pulses of a write; return the health after it, and the share of each conductance's devices that is left.

    Devices of one polarity share its pulses equally. The share counts devices that still did what they were told before
    this write, so a conductance that was worn out already keeps a share of 1.

    Args:
        faults: Health before, with wear.
        pulses: Pulses that each device of a conductance received, shape (K, slices, 2, lines, rows).
    """
    assert faults.wear is not None
    assert faults.endurance is not None
    wear = faults.wear + pulses
    gone = (faults.code == 0) & (wear > faults.endurance)
    before = (faults.code == 0).sum(0)
    left = torch.where(before > 0, (before - gone.sum(0)) / before.clamp(min=1), 1.0)
    code = torch.where(gone, _WORN, faults.code).to(torch.uint8)
    return Faults(code, wear, faults.endurance), left
