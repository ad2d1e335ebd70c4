"""A matrix on differential pairs of conductances, for K chips at once: read, write, age."""

from __future__ import annotations

import copy
from typing import Any, get_args

import torch
from torch import Tensor

from .array import Array
from .billing import bill_calibration
from .checks import check_floats, check_kind, check_tensor, check_whole, is_number
from .config import CrossbarCfg
from .devices import find_device
from .gdp_array import refine
from .lasting import lasting
from .ledger import Ledger
from .mapping import output_range, weight_ranges, weight_table
from .measured import measured_cfg, stacked_us, take_over
from .patches import Patches
from .reading import ReadPath
from .report import WriteReport
from .updates import Base, spare
from .writing import program, write


class Crossbar:
    """K chips with one matrix each; the only owner of its weights, which change through `write` alone."""

    @lasting
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
        self.cfg = CrossbarCfg() if cfg is None else cfg
        check_kind("cfg", self.cfg, CrossbarCfg)
        table = weight_table(weights, bias, n_chips)
        self.out_features, self.in_features = weights.shape[-2:]
        drive = None if bias is None else (self.cfg.in_range or 1.0)
        if drive is not None:
            table[..., -1] /= drive  # a copy: the bias was appended
        self._lay(table, drive, n_chips, generator)
        program(self._array, table)
        if self.cfg.updates.first == "gdp":
            refine(self._array, self._read, table)

    @classmethod
    @lasting
    def from_conductances(
        cls,
        g_plus_us: Tensor,
        g_minus_us: Tensor,
        cfg: CrossbarCfg | None = None,
        *,
        n_chips: int,
        generator: torch.Generator,
        age_s: float = 0.0,
    ) -> Crossbar:
        """Take over an array that was measured: nothing is programmed, and no pulse is booked.

        Args:
            g_plus_us: Conductances of the positive devices, all physical ones of a polarity together, uS. Shape
                (out, in), the same for all, or (K, out, in). Up to 1.25 of the device model's largest.
            g_minus_us: Those of the negative devices, of the same shape.
            cfg: How it is read, ages and is written from now on, with one slice and one row per weight. A weight is
                (g_plus - g_minus) w_range / g_max; without `w_range` weights are conductances in uS.
            n_chips: K.
            generator: One number is drawn from it: the seed of these chips, whose drift exponents are drawn.
            age_s: Time between programming and the measurement, s.
        """
        if not is_number(age_s) or age_s < 0:
            raise ValueError(f"age_s must be zero or more and finite, got {age_s!r}")
        check_whole("n_chips", n_chips)
        self = object.__new__(cls)
        self.cfg = measured_cfg(cfg or CrossbarCfg())
        g_us = stacked_us(g_plus_us, g_minus_us, self.cfg, n_chips)
        self.out_features, self.in_features = g_us.shape[-2:]
        difference_us = g_us[:, 0] - g_us[:, 1]
        g_max_us = find_device(self.cfg.device, self.cfg.off_device).g_max_us
        table = difference_us * weight_ranges(difference_us, self.cfg)[:, 0] / g_max_us
        self._lay(table, None, n_chips, generator)
        take_over(self._array, g_us, age_s)
        return self

    def _lay(self, table: Tensor, drive: float | None, n_chips: int, generator: torch.Generator) -> None:
        """Make blank chips for a table, shape (K or 1, out, in with the bias), and the way to read them."""
        check_kind("generator", generator, torch.Generator)
        seed = int(torch.randint(2**62, (1,), generator=generator, device=generator.device))
        self._array = Array(table, self.cfg, n_chips=n_chips, drive=drive, seed=seed)
        self._read = ReadPath(self._array, output_range(self.cfg, table, len(self._array.blocks)))

    def __call__(self, x: Tensor) -> Tensor:
        """Multiply: x (K, batch, in) to (K, batch, out), through the converters and with read noise.

        Gradients reach x where it asks for them; the noise counts as a constant.
        """
        check_floats("x", x)
        self._check_shape(x)
        if self._array.clock.settle():
            self._read.forget()
        return self._read(x if x.dtype is torch.float32 else x.float())

    def convolve(self, x: Tensor, patches: Patches) -> Tensor:
        """Multiply with every patch of pictures: the same reads as `self(patches.cut(x))`, mostly without cutting.

        Args:
            x: Shape (K, batch, channels, height, width).
            patches: What a patch is; its numbers are the rows.

        Returns:
            Shape (K, batch x patches, out).
        """
        if self._array.clock.settle():
            self._read.forget()
        if not self._read.takes_pictures or x.shape[0] != self.n_chips or patches.rows != self.in_features:
            return self(patches.cut(x))
        with torch.set_grad_enabled(torch.is_grad_enabled() and x.requires_grad):
            return self._read.pictures(x.to(self._array.unit.dtype), patches)

    @torch.no_grad()
    def spikes(self, spikes: Tensor, levels: Tensor | None = None) -> Tensor:
        """Multiply with inputs that are zero or at their row's level.

        The read is that of the product, but only rows that spike are looked at, so few spikes cost little. On a GPU,
        with a bias, more rows than a core or a periphery that errs, the simulator looks at all rows.

        Args:
            spikes: Non-zero where a row is driven, of any type. Shape: (K, batch, in) to (K, batch, out).
            levels: Input of each row that is driven, shape (in,), rounded by the converter, so it needs `in_range`;
                None: full scale, which is `in_range`, or 1 where it is None. Give the same tensor at every read.
        """
        check_tensor("spikes", spikes)
        self._check_shape(spikes)
        if levels is not None and (self.cfg.in_range is None or tuple(levels.shape) != (self.in_features,)):
            wanted = f"shape ({self.in_features},) and a crossbar with in_range"
            raise ValueError(f"levels need {wanted}, got {tuple(levels.shape)} and in_range={self.cfg.in_range}")
        if self._array.clock.settle():
            self._read.forget()
        alone = self._array.drive is None and len(self._array.blocks) == 1 and not self.cfg.periphery.errs
        if spikes.is_cuda or not alone:
            driven = (spikes != 0).to(self._array.unit.dtype)
            return self._read(driven * ((self.cfg.in_range or 1.0) if levels is None else levels))
        return self._read.spikes(spikes, levels)

    @lasting
    def write(self, delta: Tensor, *, mask: Tensor | None = None, base: Base | None = None) -> WriteReport:
        """Add increments to the weights; cells whose delta is exactly 0 receive nothing.

        How the increments become pulses, and which are spared, is `cfg.updates`. The limit of a weight is what the
        largest conductance stands for now: its range times the present factor.

        Args:
            delta: Shape (K, out, in), or (out, in) for all.
            mask: True where a cell may be written, of either of these shapes, bool; None: everywhere.
            base: What is added to: "read", the weight as a verify read finds it, or "target", a digital copy of the
                targets; None: `cfg.updates.base`. A copy that was not kept from deployment on is begun with one read of
                all cells, which is booked.
        """
        if base not in (None, *get_args(Base)):
            raise ValueError(f"unknown base {base!r}; choose from {list(get_args(Base))}")
        if base == "target" and self.cfg.updates.pulses == "blind":
            raise ValueError('base="target" needs reads, and blind trains take none; choose from ["read"]')
        delta = spare(self._check_delta(delta), mask, self.cfg.updates, self.n_chips)
        self._read.forget()
        return write(self._array, delta, base)

    @lasting
    def advance(self, seconds: float, calibrate: bool = True) -> None:
        """Let time pass, then measure the compensation factors again unless `calibrate` is False."""
        self._array.clock.advance(seconds)
        self._array.refreeze()
        self._read.forget()
        if calibrate:
            self.recalibrate()

    @lasting
    def recalibrate(self) -> None:
        """Measure the compensation factors now, and gain and offset of the converters where they err."""
        array = self._array
        if array.clock.settle():
            self._read.forget()
        array.compensation.measure(array.strength_us())
        bill_calibration(array.ledger, self.cfg, array.rows, array.lines)
        array.measure_converters()

    @torch.no_grad()
    def weights(self) -> Tensor:
        """Return the weights as they stand now, drifted and compensated, without read noise. Shape: (K, out, in)."""
        return self._array.weights()[..., : self.in_features]

    @torch.no_grad()
    def bias(self) -> Tensor | None:
        """Return the bias as it stands now, shape (K, out); None where there is none."""
        drive = self._array.drive
        return None if drive is None else self._array.weights()[..., -1] * drive

    @property
    def n_chips(self) -> int:
        """Chips, every copy counted."""
        return self._array.n_chips

    @property
    def array_size(self) -> tuple[int, int]:
        """Rows and output lines that the matrix takes: the bias and repeated rows are rows, slices are lines."""
        return self._array.rows, self._array.lines

    @property
    def ledger(self) -> Ledger:
        """What these chips have spent."""
        return self._array.ledger

    @property
    def factors(self) -> Tensor:
        """Compensation factor of every line and slice. Shape: (K, slices, out); on several cores of rows one more."""
        return self._array.compensation.factor.squeeze(-1)

    @property
    def clock_s(self) -> Tensor:
        """Seconds since deployment, float64, without a write still pending. Shape: (K,)."""
        return self._array.clock.now_s

    @torch.no_grad()
    def conductances_us(self) -> Tensor:
        """Return every conductance now, without read noise, uS. Shape: (K, slices, 2, out, rows), positive first."""
        return self._array.pairs.conductance()

    def ages_s(self) -> Tensor:
        """Return the age of every conductance, s, float64. Shape: (K, slices, 2, out, rows)."""
        return self._array.pairs.ages_s()

    def pulses_taken(self) -> Tensor:
        """Return the pulses that each device of a conductance has received. Shape: (K, slices, 2, out, rows).

        Raises:
            ValueError: They are not counted.
        """
        health = self._array.health
        if health is None or health.faults.wear is None:
            raise ValueError("pulses of single devices are counted where faults.endurance is given; it is None")
        return health.faults.wear.clone()

    @lasting
    def copies(self, n_copies: int) -> Crossbar:
        """Return K x T chips in this physical state, copy t of chip k in row k T + t, each with its own future.

        Their ledger starts at zero, so it holds what each copy spends. Their futures follow from the streams of these
        chips: a second call gives other futures.
        """
        check_whole("n_copies", n_copies)
        twin = copy.copy(self)
        twin._array = self._array.copies(n_copies)
        twin._read = self._read.of(twin._array)
        return twin

    def state_dict(self) -> dict[str, Any]:
        """Return everything that the future depends on, streams and clock included: tensors and plain numbers."""
        return self._array.state_dict()

    def check_state(self, state: dict[str, Any]) -> None:
        """Refuse a state that is not of such chips."""
        self._array.check_state(state)

    @lasting
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Become the crossbar of a state, to the bit, or refuse it unchanged; the configuration stays its own."""
        self._array.load_state_dict(state)
        self._read.forget()

    def __repr__(self) -> str:
        """Say size, device and slices."""
        size = f"{self.out_features} x {self.in_features}"
        return f"Crossbar({self.n_chips} chips of {size} on {self.cfg.device}, slices={self.cfg.slices})"

    def _check_shape(self, x: Tensor) -> None:
        if x.dim() != 3 or x.shape[0] != self.n_chips or x.shape[2] != self.in_features:
            wanted = f"({self.n_chips}, batch, {self.in_features})"
            raise ValueError(f"x must have shape {wanted}, got {tuple(x.shape)}")

    def _check_delta(self, delta: Tensor) -> Tensor:
        check_floats("delta", delta)
        wanted = (self.n_chips, self.out_features, self.in_features)
        if tuple(delta.shape) not in (wanted, wanted[1:]):
            raise ValueError(f"delta must have shape {wanted} or {wanted[1:]}, got {tuple(delta.shape)}")
        return delta.detach().to(self._array.unit)
