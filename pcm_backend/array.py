"""What one matrix on K chips is made of: devices, factors, clock, random numbers, bill; copied and saved together."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .checks import check_kind, check_tensor
from .chip import Clock, count_cores, row_blocks
from .compensation import Compensation
from .config import CrossbarCfg
from .devices import find_device
from .digital import Digital
from .health import Health
from .ledger import Ledger
from .mapping import weight_ranges
from .pairs import Pairs
from .periphery_state import PeripheryState
from .streams import Streams
from .strength import LineSums, array_strength_us

VERSION = 7
"""Of the saved state; 2: random numbers by keys and counts; 3: factors for each core of rows;
4: with what is known of converters; 5: ages by moments of programming, sums of lines;
6: digital memory, and the health of devices where something is broken; 7: the periphery by its name."""
_PARTS = ("pairs", "sums", "compensation", "clock", "streams", "ledger", "periphery", "digital")


class Array:
    """The parts of K chips. Each of `parts` has `state_dict`, `check_state`, `load_state_dict` and gives copies."""

    def __init__(self, table: Tensor, cfg: CrossbarCfg, *, n_chips: int, drive: float | None, seed: int) -> None:
        """Make blank chips for a table of weights.

        Args:
            table: Weights, and the bias as a last row where there is one. Shape: (K, out, in); (1, out, in) for all.
            cfg: How it lies on the chip.
            n_chips: K.
            drive: Input of the row that holds the bias; None: there is no bias.
            seed: Of the chips' random numbers.
        """
        self.cfg, self.drive = cfg, drive
        self.n_chips, (self.n_out, self.n_in) = n_chips, table.shape[1:]
        device = find_device(cfg.device, cfg.off_device)
        ranges = weight_ranges(table, cfg)
        # uS per weight at factor 1: (K, slices, out, 1)
        self.unit = (device.g_max_us / ranges).repeat(n_chips // len(table), 1, 1, 1)
        self.streams = Streams.from_seed(seed, self.n_chips, table.device)
        self.clock = Clock(self.n_chips, table.device)
        self.ledger = Ledger(self.n_chips, table.device)
        shape = (self.n_chips, cfg.slices, 2, self.n_out, self.rows)
        self.health = Health.drawn(cfg.faults, device.g_max_us, device.n_physical, shape[1:], self.streams)
        parts: dict[str, Any] = {"streams": self.streams, "clock": self.clock, "health": self.health}
        self.pairs = Pairs.blank(device, cfg.read_noise, shape, **parts)
        self.digital = Digital.blank(cfg.updates, table, n_chips, drive is not None)
        self.blocks = row_blocks(self.rows)  # which rows lie on which core
        self.sums = LineSums.blank(self.pairs, self.blocks)
        self.compensation = Compensation.blank(self.unit, self.blocks, cfg.compensation)
        n_parts = cfg.slices * len(self.blocks)
        self.periphery = PeripheryState.drawn(cfg.periphery, n_parts, self.n_out, self.streams)

    @property
    def parts(self) -> tuple[str, ...]:
        """What makes up the state; the health only where something is or can become broken."""
        return _PARTS if self.health is None else (*_PARTS, "health")

    @property
    def rows(self) -> int:
        """Rows of the array: inputs, and the bias, times the rows that hold the same weight."""
        return self.n_in * self.cfg.rows_per_weight

    @property
    def lines(self) -> int:
        """Output lines of the array, of all slices."""
        return self.n_out * self.cfg.slices

    @property
    def unit_now(self) -> Tensor:
        """Conductance that stands for a weight of one at the present factor, uS.

        Shape: (K, slices, out, 1), or (K, slices, out, rows) where these lie on several cores.
        """
        return self.unit / self.compensation.of_rows()

    def unit_of_weights(self, index: int) -> Tensor:
        """Return the present unit of one slice for every weight, uS. Shape: (K, out, 1), or (K, out, in)."""
        unit = self.unit_now[:, index]
        return unit if unit.shape[-1] == 1 else self.mean_of_rows(unit)

    def measure_converters(self) -> None:
        """Measure gain and offset of the converters, where they err, and book the readings of all cores."""
        readings = self.periphery.calibrate(self.streams)
        if readings:
            products = readings * count_cores(self.rows, self.lines)
            self.ledger.book(f"calibration_products_{self.cfg.phases}_phase", products)

    def weights(self) -> Tensor:
        """Return the table as it stands now: drifted and compensated, no read noise. Shape: (K, out, in)."""
        fast, n_chips = self.pairs.fast, self.n_chips
        if fast is not None and len(self.blocks) == 1:
            now_s, per_us, copies = self.clock.now_s, 1.0 / self.unit_now, self.cfg.rows_per_weight
            mean, _ = fast.view(self.pairs.state.device, self.pairs.epochs, now_s, per_us, copies=copies, still=True)
            assert mean is not None
            return mean if self.cfg.slices == 1 else mean.view(n_chips, self.cfg.slices, self.n_out, -1).sum(1)
        g_us = self.pairs.conductance()
        return self.mean_of_rows(((g_us[:, :, 0] - g_us[:, :, 1]) / self.unit_now).sum(1))

    def mean_of_rows(self, rows: Tensor) -> Tensor:
        """Return the mean of the rows that hold the same weight. Shape: (..., rows) to (..., in)."""
        copies = self.cfg.rows_per_weight
        return rows if copies == 1 else rows.unflatten(-1, (copies, -1)).mean(-2)

    def strength_us(self) -> Tensor:
        """Measure what the compensation goes by, uS. Shape: (K, slices, lines, blocks)."""
        n_reads = self.cfg.calibration_reads
        if self.cfg.compensation == "none":
            return torch.zeros_like(self.compensation.factor)  # nobody measures
        if self.cfg.compensation == "global":
            return array_strength_us(self.pairs, n_reads).expand_as(self.compensation.factor)
        return self.sums.measure_us(self.pairs, n_reads)

    def refreeze(self) -> None:
        """Draw the read that holds from now on, where read noise is frozen."""
        if self.cfg.read_noise == "frozen":
            self.pairs.refreeze()
            self.sums.forget()

    def copies(self, n_copies: int) -> Array:
        """Return K x T chips in this physical state, each with a future of its own and a bill that starts at zero."""
        twin = object.__new__(Array)
        twin.cfg, twin.drive = self.cfg, self.drive
        twin.n_chips, twin.n_out, twin.n_in = self.n_chips * n_copies, self.n_out, self.n_in
        twin.blocks, twin.unit = self.blocks, self.unit.repeat_interleave(n_copies, 0)
        twin.streams, twin.clock = self.streams.fork(n_copies), self.clock.repeat(n_copies)
        twin.health = None if self.health is None else self.health.repeat(n_copies)
        twin.pairs = self.pairs.repeat(n_copies, streams=twin.streams, clock=twin.clock, health=twin.health)
        twin.digital = self.digital.repeat(n_copies)
        twin.sums = self.sums.repeat(n_copies)
        twin.compensation = self.compensation.repeat(n_copies)
        twin.periphery = self.periphery.repeat(n_copies)
        twin.ledger = Ledger(twin.n_chips, self.unit.device)
        return twin

    def state_dict(self) -> dict[str, Any]:
        """Return everything that the future depends on: tensors and plain numbers."""
        parts = {name: getattr(self, name).state_dict() for name in self.parts}
        return {"version": VERSION, "device": self.cfg.device, "unit": self.unit.clone(), **parts}

    def check_state(self, state: Any) -> None:
        """Refuse a state that is not one of such chips."""
        check_kind("state", state, dict)
        for name, mine in (("version", VERSION), ("device", self.cfg.device)):
            if state.get(name) != mine:
                raise ValueError(f"the state has {name} {state.get(name)!r}, this crossbar {mine!r}")
        if missing := sorted({"unit", *self.parts} - set(state)):
            raise ValueError(f"the state lacks {missing}; a state has {sorted({'unit', *self.parts})}")
        if self.health is None and "health" in state:
            raise ValueError("the state has broken devices, the configuration of this crossbar has no faults")
        check_tensor("unit", state["unit"])
        if state["unit"].shape != self.unit.shape:
            raise ValueError(
                f"the state has (chips, slices, lines, 1) of shape {tuple(state['unit'].shape)}, "
                f"this crossbar {tuple(self.unit.shape)}"
            )
        for name in self.parts:
            getattr(self, name).check_state(state[name])

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Become the chips of a state, to the bit; one that is not of such chips changes nothing."""
        self.check_state(state)
        for name in self.parts:
            getattr(self, name).load_state_dict(state[name])
        self.unit = state["unit"].to(self.unit).clone()
