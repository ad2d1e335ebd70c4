"""A matrix on differential pairs of conductances, for K chips at once: read, write, age."""

from __future__ import annotations

import copy
from typing import Any, NamedTuple

import torch
from torch import Tensor

from .chip import Clock, count_cores
from .config import CrossbarCfg
from .devices import DEVICES
from .ledger import Ledger
from .mapping import output_range, weight_ranges, weight_table
from .pairs import Pairs
from .periphery import Compensation, convert, largest
from .programming import WriteReport, bill_calibration, bill_write, program_first, write_cells
from .streams import Streams

_VERSION = 1


class _View(NamedTuple):
    """Mean and variance of a read in units of weights, kept until something changes. Shape: (K, slices * out, rows)."""

    mean: Tensor
    variance: Tensor | None


class Crossbar:
    """K chips with one matrix each; the only owner of its weights, which change through `write` alone."""

    def __init__(
        self,
        weights: Tensor,
        cfg: CrossbarCfg | None = None,
        *,
        n_chips: int,
        generator: torch.Generator,
        bias: Tensor | None = None,
    ) -> None:
        """Program K chips.

        Args:
            weights: Shape (out, in), the same for all, or (K, out, in).
            cfg: How the matrix lies on the chip.
            n_chips: K.
            generator: One number is drawn from it: the seed of these chips.
            bias: Shape (out,) or (K, out): one more row, driven at full scale where `in_range` is given, else by an
                input of 1. `weights()` and `write()` leave it out; `bias()` shows it.
        """
        self.cfg = cfg or CrossbarCfg()
        table = weight_table(weights, bias, n_chips)
        self.n_chips, self.out_features, self.in_features = n_chips, table.shape[1], weights.shape[-1]
        self._drive = None if bias is None else (self.cfg.in_range or 1.0)
        if self._drive is not None:
            table[..., -1] /= self._drive
        device = DEVICES[self.cfg.device]
        self._unit = device.g_max_us / weight_ranges(table, self.cfg)  # uS per weight at factor 1: (K, slices, out, 1)
        table = table.repeat(1, 1, self.cfg.rows_per_weight)

        seed = int(torch.randint(2**62, (1,), generator=generator, device=generator.device))
        self._streams = Streams.from_seed(seed, n_chips, table.device)
        self._clock = Clock(n_chips, table.device)
        self.ledger = Ledger(n_chips, table.device)
        shape = (n_chips, self.cfg.slices, 2, *table.shape[1:])
        self._pairs = Pairs.blank(device, self.cfg.read_noise, shape, streams=self._streams, clock=self._clock)
        self._out_range = output_range(self.cfg, table)
        self._view: _View | None = None
        self._program(table)

    def __call__(self, x: Tensor) -> Tensor:
        """Multiply: x (K, batch, in) to (K, batch, out), through the converters and with read noise.

        Gradients reach x where it asks for them; the noise counts as a constant.
        """
        self._check_input(x)
        if self._clock.settle():
            self._view = None
        with torch.set_grad_enabled(torch.is_grad_enabled() and x.requires_grad):
            return self._read(x.to(self._unit.dtype))

    @torch.no_grad()
    def write(self, delta: Tensor) -> WriteReport:
        """Add increments to the weights as a verify read finds them; cells whose delta is exactly 0 receive nothing.

        The limit of a weight is what the largest conductance stands for now: its range times the present factor.

        Args:
            delta: Shape (K, out, in), or (out, in) for all.
        """
        delta = self._check_delta(delta)
        self._clock.settle()
        written = write_cells(self._pairs, delta, self._unit / self._compensation.factor, self.cfg.verify_reads)
        bill = Ledger(self.n_chips, delta.device)
        time_s = bill_write(bill, self.cfg, written.pulsed, written.sensed, self._pairs.device.n_physical)
        lines = (delta != 0).any(-1)
        self._compensation.rebase(self._pairs, self.cfg.calibration_reads, lines[:, None, :, None])
        bill_calibration(bill, self.cfg, self._rows, self._lines, lines.any(-1))
        self.ledger.add_(bill)
        self._clock.owe(time_s)
        self._view = None
        return WriteReport(
            devices=bill.devices,
            pulses=bill.pulses,
            saturated=written.saturated,
            failed=torch.zeros_like(bill.devices),
            energy_j=bill.energy_j(),
            time_s=time_s,
        )

    @torch.no_grad()
    def advance(self, seconds: float, calibrate: bool = True) -> None:
        """Let time pass, then measure the compensation factors again unless `calibrate` is False."""
        self._clock.advance(seconds)
        self._pairs.refreeze()
        self._view = None
        if calibrate:
            self.recalibrate()

    @torch.no_grad()
    def recalibrate(self) -> None:
        """Measure the compensation factors now."""
        if self._clock.settle():
            self._view = None
        self._compensation.measure(self._pairs, self.cfg.calibration_reads)
        bill_calibration(self.ledger, self.cfg, self._rows, self._lines)

    @torch.no_grad()
    def weights(self) -> Tensor:
        """Return the weights as they stand now, drifted and compensated, without read noise. Shape: (K, out, in)."""
        return self._table()[..., : self.in_features]

    @torch.no_grad()
    def bias(self) -> Tensor | None:
        """Return the bias as it stands now, shape (K, out); None where there is none."""
        return None if self._drive is None else self._table()[..., -1] * self._drive

    @property
    def factors(self) -> Tensor:
        """Compensation factor of every line and slice. Shape: (K, slices, out)."""
        return self._compensation.factor.squeeze(-1)

    @property
    def clock_s(self) -> Tensor:
        """Seconds since deployment, float64, without a write still pending. Shape: (K,)."""
        return self._clock.now_s

    @torch.no_grad()
    def conductances_us(self) -> Tensor:
        """Return every conductance now, without read noise, uS. Shape: (K, slices, 2, out, rows), positive first."""
        return self._pairs.conductance()

    def ages_s(self) -> Tensor:
        """Return the age of every conductance, s, float64. Shape: (K, slices, 2, out, rows)."""
        return self._clock.now_s[:, None, None, None, None] - self._pairs.state.programmed_s

    def copies(self, n_copies: int) -> Crossbar:
        """Return K x T chips in this physical state, copy t of chip k in row k T + t, each with its own future.

        Their ledger starts at zero, so it holds what each copy spends. The seeds of their futures are drawn from the
        generators of these chips: a second call gives other futures.
        """
        if n_copies < 1:
            raise ValueError(f"n_copies must be 1 or more, got {n_copies!r}")
        twin = copy.copy(self)
        twin.n_chips = self.n_chips * n_copies
        twin._unit = self._unit.repeat_interleave(n_copies, 0)
        twin._streams, twin._clock = self._streams.fork(n_copies), self._clock.repeat(n_copies)
        twin._pairs = self._pairs.repeat(n_copies, streams=twin._streams, clock=twin._clock)
        twin._compensation = self._compensation.repeat(n_copies)
        twin.ledger, twin._view = Ledger(twin.n_chips, self._unit.device), None
        return twin

    def state_dict(self) -> dict[str, Any]:
        """Return everything that the future depends on, generators and clock included: tensors and plain numbers."""
        parts = ("pairs", "compensation", "clock", "streams")
        state = {name: getattr(self, f"_{name}").state_dict() for name in parts}
        own = {"version": _VERSION, "device": self.cfg.device, "unit": self._unit.clone()}
        return {**own, **state, "ledger": self.ledger.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Become the crossbar of a state, to the bit; the configuration stays this one's own."""
        for name, mine in (("version", _VERSION), ("device", self.cfg.device)):
            if state.get(name) != mine:
                raise ValueError(f"the state has {name} {state.get(name)!r}, this crossbar {mine!r}")
        for name in ("pairs", "compensation", "clock", "streams"):
            getattr(self, f"_{name}").load_state_dict(state[name])
        self.ledger.load_state_dict(state["ledger"])
        self._unit, self._view = state["unit"].to(self._unit).clone(), None

    def __repr__(self) -> str:
        """Say size, device and slices."""
        size = f"{self.out_features} x {self.in_features}"
        return f"Crossbar({self.n_chips} chips of {size} on {self.cfg.device}, slices={self.cfg.slices})"

    @property
    def _rows(self) -> int:
        return (self.in_features + (self._drive is not None)) * self.cfg.rows_per_weight

    @property
    def _lines(self) -> int:
        return self.out_features * self.cfg.slices

    @torch.no_grad()
    def _program(self, table: Tensor) -> None:
        sensed = program_first(self._pairs, table, self._unit, self.cfg.verify_reads)
        self._compensation = Compensation.measured(self._pairs, self.cfg.calibration_reads)
        everything = torch.ones(self._pairs.state.g_us.shape, dtype=torch.bool, device=table.device)
        bill_write(self.ledger, self.cfg, everything, sensed, self._pairs.device.n_physical)
        bill_calibration(self.ledger, self.cfg, self._rows, self._lines)

    def _read(self, x: Tensor) -> Tensor:
        if self._drive is not None:
            x = torch.cat([x, x.new_full((*x.shape[:2], 1), self._drive)], -1)
        volts = convert(x, self.cfg.dac_bits, self.cfg.in_range or largest(x))
        mean, variance = self._current_view()
        y = torch.bmm(volts, mean.transpose(1, 2))
        if variance is not None:
            power = torch.bmm(volts.detach().square(), variance.transpose(1, 2))
            y = y + power.sqrt_().mul_(self._streams.normal(*y.shape[1:]))
        y = y.unflatten(-1, (self.cfg.slices, self.out_features))
        doublings = self._doublings(y)
        y = convert(y, self.cfg.adc_bits, largest(y) if self._out_range is None else self._out_range * 2.0**doublings)
        reads = (1 + doublings).expand(*y.shape[:2], 1, 1).sum((1, 2, 3))
        self.ledger.book(f"products_{self.cfg.phases}_phase", reads * count_cores(self._rows, self._lines))
        return (y * self._compensation.factor.squeeze(-1).unsqueeze(1)).sum(2)

    @torch.no_grad()
    def _doublings(self, y: Tensor) -> Tensor:
        """Return how often each vector's full scale is doubled, and its product repeated. Shape: (K, batch, 1, 1)."""
        if self._out_range is None or self.cfg.out_doublings == 0 or self.cfg.adc_bits == 0:
            return y.new_zeros((1, 1, 1, 1))
        excess = (y.abs() / self._out_range).amax((2, 3), keepdim=True)
        return torch.log2(excess.clamp(min=1.0)).ceil().clamp(max=self.cfg.out_doublings)

    @torch.no_grad()
    def _current_view(self) -> _View:
        if self._view is None:
            mean, variance = self._pairs.moments()
            per_us = 1.0 / self._unit
            mean = self._mean_of_rows((mean[:, :, 0] - mean[:, :, 1]) * per_us).flatten(1, 2)
            if variance is not None:
                variance = (variance[:, :, 0] + variance[:, :, 1]) * per_us.square()
                variance = self._mean_of_rows(variance).flatten(1, 2) / self.cfg.rows_per_weight
            self._view = _View(mean, variance)
        return self._view

    def _table(self) -> Tensor:
        g_us = self._pairs.conductance()
        table = ((g_us[:, :, 0] - g_us[:, :, 1]) * (self._compensation.factor / self._unit)).sum(1)
        return self._mean_of_rows(table)

    def _mean_of_rows(self, rows: Tensor) -> Tensor:
        """Return the mean of the rows that hold the same weight. Shape: (..., rows) to (..., in, and the bias)."""
        copies = self.cfg.rows_per_weight
        return rows if copies == 1 else rows.unflatten(-1, (copies, -1)).mean(-2)

    def _check_input(self, x: Tensor) -> None:
        if x.dim() != 3 or x.shape[0] != self.n_chips or x.shape[2] != self.in_features:
            wanted = f"({self.n_chips}, batch, {self.in_features})"
            raise ValueError(f"x must have shape {wanted}, got {tuple(x.shape)}")

    def _check_delta(self, delta: Tensor) -> Tensor:
        wanted = (self.n_chips, self.out_features, self.in_features)
        if tuple(delta.shape) not in (wanted, wanted[1:]):
            raise ValueError(f"delta must have shape {wanted} or {wanted[1:]}, got {tuple(delta.shape)}")
        if not bool(torch.isfinite(delta).all()):
            raise ValueError("delta must be finite, got NaN or infinity")
        delta = delta.detach().to(self._unit).expand(wanted)
        delta = delta if self._drive is None else torch.nn.functional.pad(delta, (0, 1))
        return delta.repeat(1, 1, self.cfg.rows_per_weight)
