"""Program and verify: read a cell, pulse it towards its target, and again until it is near enough or time is up.

Everything here works on flat lists of cells. A cell is one conductance of one or two physical devices; of two, one is
fully SET or fully RESET and the other one in between (Max-SET-Fill, Vasilopoulos TED 2023). In each iteration a cell
receives one pulse: SET while it reads too low, else a pulse that melts a part, with the current of the staircase that
suits the excess, or a RESET where most of the device would have to go. Cells that are done leave the list.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from .choose import choose
from .native import usable
from .pulses import (
    A_UP,
    GAMMA_UP,
    RESET_UA,
    STAIRCASE_PULSES,
    STAIRCASE_UA,
    PulseCfg,
    full_set,
    partial_reset_pulse,
    reset_pulse,
    set_pulse,
    staircase_current_ua,
)
from .streams import SparseDraw, Streams

MAX_ITERATIONS = 30
"""Pulses that a cell is given at most (Le Gallo NatElectron 2023)."""
_REDO_SHARE = 0.8
"""An excess of more than this share of a device is not worth its staircase: RESET and begin again. Assumption."""
_TOP_SHARE = 1.15
"""Share of its range beyond which SET pulses on the trimmed device achieve nothing: the other one takes them."""


class Numbers(Protocol):
    """A source of standard normal numbers, one for each cell of a list that shrinks."""

    def __call__(self) -> Tensor:
        """Draw once more for every cell. Shape: (cells,)."""
        ...

    def keep(self, places: Tensor) -> Numbers:
        """Go on with the cells at these places alone. Shape: (cells left,), int64."""
        ...


def numbers_from(n_cells: int, generator: torch.Generator) -> SparseDraw:
    """Return a source that follows from one number of a generator."""
    seed = int(torch.randint(2**62, (1,), generator=generator, device=generator.device))
    index = torch.arange(n_cells, device=generator.device)
    return Streams.from_seed(seed, 1, generator.device).draw(n_cells).at(torch.zeros_like(index), index)


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

    def copied(self) -> Devices:
        """Return the same in memory of its own."""
        filled_us = None if self.filled_us is None else self.filled_us.contiguous().clone()
        return Devices(self.trimmed_us.contiguous().clone(), filled_us)

    def at(self, places: Tensor) -> Devices:
        """Return the devices of some cells, as copies."""
        filled_us = None if self.filled_us is None else self.filled_us.index_select(0, places)
        return Devices(self.trimmed_us.index_select(0, places), filled_us)


class Counts(NamedTuple):
    """What programming took. Shape of each: (cells,)."""

    set_pulses: Tensor
    """SET pulses, those of whole staircases included; uint8."""
    reset_pulses: Tensor
    """RESET pulses, whole and partial; uint8."""
    iterations: Tensor
    """Pulses of the loop, each followed by a read; uint8. One read comes before the first of them."""
    devices: Tensor
    """Physical devices that received at least one pulse; uint8."""
    converged: Tensor
    """Whether the last read was within the margin; bool."""

    @property
    def pulses(self) -> Tensor:
        """All pulses."""
        return self.set_pulses + self.reset_pulses


class Start(NamedTuple):
    """Cells that the loop is about to begin with. Shape of each: (cells,)."""

    devices: Devices
    set_pulses: Tensor
    """SET pulses so far; uint8."""
    reset_pulses: Tensor
    """RESET pulses so far; uint8."""
    trimmed_pulsed: Tensor
    """Whether the trimmed device has received any; bool."""
    filled_pulsed: Tensor
    """Whether the other one has; bool."""


def erase_and_fill(target_us: Tensor, pair: bool, numbers: Numbers, cfg: PulseCfg) -> Start:
    """Prepare devices of unknown state without a read: all RESET, but one of a pair fully SET where it takes both."""
    trimmed_us, ones = reset_pulse(numbers(), cfg), torch.ones_like(target_us, dtype=torch.uint8)
    if not pair:
        return Start(Devices(trimmed_us, None), ones - ones, ones, ones.bool(), ~ones.bool())
    fill, normal = target_us > _TOP_SHARE * cfg.g_device_us, numbers()
    filled_us = choose(fill, full_set(normal, cfg), reset_pulse(normal, cfg))
    sets = fill.to(torch.uint8) * STAIRCASE_PULSES
    return Start(Devices(trimmed_us, filled_us), sets, ones + ones, ones.bool(), ones.bool())


def refill(devices: Devices, target_us: Tensor, numbers: Numbers, cfg: PulseCfg) -> Start:
    """Turn the filled device of cells over where their target cannot be reached as it is; others stay untouched."""
    none = torch.zeros_like(target_us, dtype=torch.uint8)
    if devices.filled_us is None:
        return Start(devices, none, none, none.bool(), none.bool())
    is_full = devices.filled_us > 0.5 * cfg.g_device_us
    fill = ~is_full & (target_us > _TOP_SHARE * cfg.g_device_us)
    turned = fill | (is_full & (target_us < devices.filled_us - cfg.margin_us))
    normal = numbers()
    filled_us = choose(fill, full_set(normal, cfg), reset_pulse(normal, cfg))
    filled_us = choose(turned, filled_us, devices.filled_us)
    sets = fill.to(torch.uint8) * STAIRCASE_PULSES
    return Start(Devices(devices.trimmed_us, filled_us), sets, turned.to(torch.uint8), none.bool(), turned)


def program_and_verify(start: Start, target_us: Tensor, numbers: Numbers, cfg: PulseCfg) -> tuple[Devices, Counts]:
    """Run the loop until every cell has converged, at most 30 iterations.

    Args:
        start: Where the devices stand, and the pulses that brought them there.
        target_us: Conductance of the cell that is aimed at. Shape: (cells,).
        numbers: Two numbers are drawn for a cell in each iteration: for its read and for its pulse.
        cfg: Constants.

    Returns:
        Devices as the last pulse left them, before any relaxation, and all counts.
    """
    blank = torch.zeros_like(start.set_pulses)
    done = _Done(start.devices.copied(), blank, blank.clone(), blank.clone(), blank.bool())
    if not _loop_natively(done, target_us, numbers, cfg):
        _loop(done, target_us, numbers, cfg)
    return done.devices, done.counts(start)


def _loop(done: _Done, target_us: Tensor, numbers: Numbers, cfg: PulseCfg) -> None:
    devices, where = done.devices.copied(), torch.arange(len(target_us), device=target_us.device)
    n_up, n_other = done.n_up.clone(), done.n_other.clone()  # of the loop's pulses
    for iteration in range(MAX_ITERATIONS + 1):
        excess = devices.g_us * (1.0 + cfg.verify_noise * numbers()) - target_us
        good = is_good(excess, target_us, cfg)
        if iteration == MAX_ITERATIONS:
            done.store(where, devices, n_up, n_other, iteration, good)
            break
        leave = good.nonzero().squeeze(1)
        if len(leave) > 0:
            gone, up, other = (each.index_select(0, leave) for each in (where, n_up, n_other))
            done.store(gone, devices.at(leave), up, other, iteration, good.index_select(0, leave))
            stay = (~good).nonzero().squeeze(1)
            here = (where, target_us, excess, n_up, n_other)
            where, target_us, excess, n_up, n_other = (each.index_select(0, stay) for each in here)
            devices, numbers = devices.at(stay), numbers.keep(stay)
        if len(where) == 0:
            break
        other = takes_other(devices, excess, cfg)
        devices = pulse(devices, other, excess, numbers(), cfg)
        n_up += excess < 0
        if other is not None:
            n_other += other


def _loop_natively(done: _Done, target_us: Tensor, numbers: Numbers, cfg: PulseCfg) -> bool:
    """Run the loop in the kernel, which draws the same numbers; return whether there is one for these tensors."""
    if not isinstance(numbers, SparseDraw):
        return False
    *where, count, part = numbers.origin
    (trimmed_us, filled_us), target_us = done.devices, target_us.contiguous()
    results = (done.n_up, done.n_other, done.iterations, done.converged)
    kernels = usable(trimmed_us, target_us, *where)
    if kernels is None:
        return False
    filled = None if filled_us is None else filled_us.data_ptr()
    pointers = [each.data_ptr() for each in (target_us, *results, *where)]
    constants = _constants(cfg).data_ptr()
    kernels.verify_cells(
        trimmed_us.data_ptr(), filled, *pointers, len(target_us), count, part, constants, MAX_ITERATIONS
    )
    return True


@cache
def _constants(cfg: PulseCfg) -> Tensor:
    stair_ua = (STAIRCASE_UA[0] - STAIRCASE_UA[-1]) / (STAIRCASE_PULSES - 1)
    own = [cfg.margin_us, cfg.verify_noise, cfg.set_step_us, cfg.set_spread, cfg.g_device_us, cfg.reset_us]
    shared = [_REDO_SHARE, _TOP_SHARE, A_UP, GAMMA_UP, RESET_UA, STAIRCASE_UA[-1], stair_ua, STAIRCASE_PULSES - 1.0]
    return torch.tensor([*own, *shared], dtype=torch.float32)


def is_good(excess_us: Tensor, target_us: Tensor, cfg: PulseCfg) -> Tensor:
    """Return which cells are near enough; one that is to be off needs to read as little as a RESET leaves at most."""
    off = (target_us == 0) & (excess_us < 3.0 * cfg.reset_us)
    return (excess_us.abs() <= cfg.margin_us) | off


def takes_other(devices: Devices, excess_us: Tensor, cfg: PulseCfg) -> Tensor | None:
    """Return where the filled device takes the pulse, since the trimmed one is at that end of its range."""
    if devices.filled_us is None:
        return None
    full = devices.trimmed_us >= _TOP_SHARE * cfg.g_device_us
    off = (devices.trimmed_us < 3.0 * cfg.reset_us) & (devices.filled_us > devices.trimmed_us)
    return (full & (excess_us < 0)) | (off & (excess_us >= 0))


def pulse(devices: Devices, other: Tensor | None, excess_us: Tensor, normal: Tensor, cfg: PulseCfg) -> Devices:
    """Give every cell the pulse that its read asks for.

    The controller knows the conductance of a single device well enough to choose a current from the staircase.
    """
    trimmed_us, filled_us = devices
    if other is None or filled_us is None:
        return Devices(_pulse_device(trimmed_us, excess_us, normal, cfg), None)
    moved = _pulse_device(choose(other, filled_us, trimmed_us), excess_us, normal, cfg)
    return Devices(choose(other, trimmed_us, moved), choose(other, moved, filled_us))


def _pulse_device(g_us: Tensor, excess_us: Tensor, normal: Tensor, cfg: PulseCfg) -> Tensor:
    share = excess_us / g_us.clamp(min=1e-6)
    down = partial_reset_pulse(g_us, staircase_current_ua(share), normal, cfg)
    down = choose(share > _REDO_SHARE, reset_pulse(normal, cfg), down)
    return choose(excess_us < 0, set_pulse(g_us, normal, cfg), down)


class _Done(NamedTuple):
    """Where the cells that have left the loop are written down, in place."""

    devices: Devices
    n_up: Tensor
    n_other: Tensor
    iterations: Tensor
    converged: Tensor

    def store(
        self, where: Tensor, devices: Devices, n_up: Tensor, n_other: Tensor, iteration: int, converged: Tensor
    ) -> None:
        self.devices.trimmed_us.scatter_(0, where, devices.trimmed_us)
        if self.devices.filled_us is not None and devices.filled_us is not None:
            self.devices.filled_us.scatter_(0, where, devices.filled_us)
        self.n_up.scatter_(0, where, n_up)
        self.n_other.scatter_(0, where, n_other)
        self.iterations.scatter_(0, where, iteration)
        self.converged.scatter_(0, where, converged)

    def counts(self, start: Start) -> Counts:
        trimmed = start.trimmed_pulsed | (self.iterations > self.n_other)
        filled = start.filled_pulsed | (self.n_other > 0)
        return Counts(
            start.set_pulses + self.n_up,
            start.reset_pulses + self.iterations - self.n_up,
            self.iterations,
            trimmed.to(torch.uint8) + filled,
            self.converged,
        )
