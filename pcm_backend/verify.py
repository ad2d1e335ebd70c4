"""Program and verify: read a cell, pulse it towards its target, and again until it is near enough or time is up.

Everything here works on flat lists of cells. A cell is one conductance of one or two physical devices; of two, one is
fully SET or fully RESET and the other one in between (Max-SET-Fill, Vasilopoulos TED 2023). In each iteration a cell
receives one pulse: SET while it reads too low, else a pulse that melts a part, with the current of the staircase that
suits the excess, or a RESET where most of the device would have to go. Cells that are done leave the list.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from .pulses import (
    STAIRCASE_PULSES,
    PulseCfg,
    full_set,
    partial_reset_pulse,
    reset_pulse,
    set_pulse,
    staircase_current_ua,
)

MAX_ITERATIONS = 30
"""Pulses that a cell is given at most (Le Gallo NatElectron 2023)."""
_REDO_SHARE = 0.8  # an excess of more than this share of the device is not worth its staircase: RESET and begin again
_TOP_SHARE = (
    1.15  # beyond this share of its range SET pulses on the trimmed device achieve nothing: the other takes them
)


class Numbers(Protocol):
    """A source of standard normal numbers, one for each cell of a list that shrinks."""

    def __call__(self) -> Tensor:
        """Draw once more for every cell. Shape: (cells,)."""
        ...

    def keep(self, places: Tensor) -> Numbers:
        """Go on with the cells at these places alone. Shape: (cells left,), int64."""
        ...


class GeneratorNumbers:
    """Numbers from a generator of torch."""

    def __init__(self, n_cells: int, generator: torch.Generator) -> None:
        self._n_cells, self._generator = n_cells, generator

    def __call__(self) -> Tensor:
        """Draw."""
        return torch.randn(self._n_cells, generator=self._generator, device=self._generator.device)

    def keep(self, places: Tensor) -> GeneratorNumbers:
        """Draw for so many cells from here on."""
        return GeneratorNumbers(len(places), self._generator)


class Devices(NamedTuple):
    """Conductances of the physical devices of every cell, uS. Shape of each: (cells,)."""

    trimmed_us: Tensor
    """The device that the loop moves."""
    filled_us: Tensor | None
    """The other one, fully SET or RESET; None: a cell has one device."""

    @property
    def g_us(self) -> Tensor:
        """Conductance of the cell."""
        return self.trimmed_us if self.filled_us is None else self.trimmed_us + self.filled_us

    def at(self, places: Tensor) -> Devices:
        """Return the devices of some cells, as copies."""
        return Devices(self.trimmed_us[places], None if self.filled_us is None else self.filled_us[places])


class Counts(NamedTuple):
    """What programming took. Shape of each: (cells,)."""

    set_pulses: Tensor
    """SET pulses, those of whole staircases included; uint8."""
    reset_pulses: Tensor
    """RESET pulses, whole and partial; uint8."""
    iterations: Tensor
    """Pulses of the loop, each followed by a read; uint8."""
    converged: Tensor
    """Whether the last read was within the margin; bool."""


def erase_and_fill(target_us: Tensor, pair: bool, numbers: Numbers, cfg: PulseCfg) -> tuple[Devices, Counts]:
    """Prepare devices of unknown state: as many as fit into the target fully SET, all others RESET; nothing is read."""
    n_full = (target_us / cfg.g_device_us).floor()
    trimmed_full = n_full >= (2.0 if pair else 1.0)
    normal = numbers()
    trimmed_us = torch.where(trimmed_full, full_set(normal, cfg), reset_pulse(normal, cfg))
    stairs, filled_us = trimmed_full.to(torch.uint8), None
    if pair:
        normal = numbers()
        filled_us = torch.where(n_full >= 1.0, full_set(normal, cfg), reset_pulse(normal, cfg))
        stairs = stairs + (n_full >= 1.0)
    resets = torch.full_like(stairs, 2 if pair else 1)
    counts = Counts(stairs * STAIRCASE_PULSES, resets, torch.zeros_like(stairs), torch.zeros_like(trimmed_full))
    return Devices(trimmed_us, filled_us), counts


def refill(devices: Devices, target_us: Tensor, numbers: Numbers, cfg: PulseCfg) -> tuple[Devices, Counts]:
    """Turn the filled device of cells over where their target cannot be reached as it is; others stay untouched."""
    none = torch.zeros_like(target_us, dtype=torch.uint8)
    untouched = Counts(none, none, none, none.bool())
    if devices.filled_us is None:
        return devices, untouched
    is_full = devices.filled_us > 0.5 * cfg.g_device_us
    fill = ~is_full & (target_us > _TOP_SHARE * cfg.g_device_us)
    empty = is_full & (target_us < devices.filled_us - cfg.margin_us)
    normal = numbers()
    turned = torch.where(fill, full_set(normal, cfg), reset_pulse(normal, cfg))
    filled_us = torch.where(fill | empty, turned, devices.filled_us)
    fills = fill.to(torch.uint8)
    return Devices(devices.trimmed_us, filled_us), untouched._replace(
        set_pulses=fills * STAIRCASE_PULSES, reset_pulses=fills + empty
    )


def program_and_verify(
    devices: Devices, counts: Counts, target_us: Tensor, numbers: Numbers, cfg: PulseCfg
) -> tuple[Devices, Counts]:
    """Run the loop until every cell has converged, at most 30 iterations.

    Args:
        devices: Where the devices stand. Shape: (cells,).
        counts: Pulses so far; the loop's are added.
        target_us: Conductance of the cell that is aimed at. Shape: (cells,).
        numbers: Two numbers are drawn for a cell in each iteration: for its read and for its pulse.
        cfg: Constants.

    Returns:
        Devices as the last pulse left them, before any relaxation, and all counts.
    """
    where = torch.arange(len(target_us), device=target_us.device)
    done_devices, done = devices.at(where), Counts(*(each.clone() for each in counts))
    n_up, n_down = torch.zeros_like(target_us), torch.zeros_like(target_us)
    for iteration in range(MAX_ITERATIONS + 1):
        excess = devices.g_us * (1.0 + cfg.verify_noise * numbers()) - target_us
        good = excess.abs() <= cfg.margin_us
        last = iteration == MAX_ITERATIONS
        leave = (torch.ones_like(good) if last else good).nonzero().squeeze(1)
        if len(leave) > 0:
            _store(done_devices, done, where[leave], devices, n_up, n_down, good, leave)
        if last or len(leave) == len(where):
            break
        if len(leave) > 0:
            stay = (~good).nonzero().squeeze(1)
            where, target_us, excess, n_up, n_down = (e[stay] for e in (where, target_us, excess, n_up, n_down))
            devices, numbers = devices.at(stay), numbers.keep(stay)
        up = excess < 0
        n_up, n_down = n_up + up, n_down + ~up
        devices = pulse(devices, excess, numbers(), cfg)
    return done_devices, done


def pulse(devices: Devices, excess_us: Tensor, normal: Tensor, cfg: PulseCfg) -> Devices:
    """Give every cell the pulse that its read asks for.

    The trimmed device takes it, unless it is at the end of its range; the controller knows the conductance of a single
    device well enough to choose a current from the staircase.
    """
    trimmed_us, filled_us = devices
    if filled_us is None:
        return Devices(_pulse_device(trimmed_us, excess_us, normal, cfg), None)
    full = trimmed_us >= _TOP_SHARE * cfg.g_device_us
    off = trimmed_us < 3.0 * cfg.reset_us
    other = torch.where(excess_us < 0, full, off)
    moved = _pulse_device(torch.where(other, filled_us, trimmed_us), excess_us, normal, cfg)
    return Devices(torch.where(other, trimmed_us, moved), torch.where(other, moved, filled_us))


def _pulse_device(g_us: Tensor, excess_us: Tensor, normal: Tensor, cfg: PulseCfg) -> Tensor:
    share = excess_us / g_us.clamp(min=1e-6)
    down = partial_reset_pulse(g_us, staircase_current_ua(share), normal, cfg)
    down = torch.where(share > _REDO_SHARE, reset_pulse(normal, cfg), down)
    return torch.where(excess_us < 0, set_pulse(g_us, normal, cfg), down)


def _store(
    devices: Devices,
    counts: Counts,
    where: Tensor,
    now: Devices,
    n_up: Tensor,
    n_down: Tensor,
    good: Tensor,
    leave: Tensor,
) -> None:
    """Write down, in place, the cells that leave the loop."""
    devices.trimmed_us[where] = now.trimmed_us[leave]
    if devices.filled_us is not None and now.filled_us is not None:
        devices.filled_us[where] = now.filled_us[leave]
    ups, downs = n_up[leave].to(torch.uint8), n_down[leave].to(torch.uint8)
    counts.set_pulses[where] += ups
    counts.reset_pulses[where] += downs
    counts.iterations[where] = ups + downs
    counts.converged[where] = good[leave]
