"""A matrix on differential pairs of conductances, for K chips at once: read, write, age."""

from __future__ import annotations

import copy
from typing import Any, get_args

import torch
from torch import Tensor

from .array import Array
from .billing import bill_calibration
from .config import CrossbarCfg
from .ledger import Ledger
from .mapping import output_range, weight_table
from .patches import Patches
from .reading import ReadPath
from .refining import refine
from .report import WriteReport
from .updates import Base, spare
from .writing import program, write


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
        self.out_features, self.in_features = weights.shape[-2:]
        drive = None if bias is None else (self.cfg.in_range or 1.0)
        if drive is not None:
            table[..., -1] /= drive  # a copy: the bias was appended
        seed = int(torch.randint(2**62, (1,), generator=generator, device=generator.device))
        self._array = Array(table, self.cfg, n_chips=n_chips, drive=drive, seed=seed)
        self._read = ReadPath(self._array, output_range(self.cfg, table, len(self._array.blocks)))
        with torch.no_grad():
            program(self._array, table)
            if self.cfg.updates.first == "gdp":
                refine(self._array, self._read, table)

    def __call__(self, x: Tensor) -> Tensor:
        """Multiply: x (K, batch, in) to (K, batch, out), through the converters and with read noise.

        Gradients reach x where it asks for them; the noise counts as a constant.
        """
        self._check_input(x)
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
            spikes: Non-zero where a row is driven. Shape: (K, batch, in) to (K, batch, out).
            levels: Input of each row that is driven, shape (in,), rounded by the converter, so it needs `in_range`;
                None: full scale, which is `in_range`, or 1 where it is None. Give the same tensor at every read.
        """
        self._check_input(spikes)
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

    @torch.no_grad()
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

    @torch.no_grad()
    def advance(self, seconds: float, calibrate: bool = True) -> None:
        """Let time pass, then measure the compensation factors again unless `calibrate` is False."""
        self._array.clock.advance(seconds)
        self._array.refreeze()
        self._read.forget()
        if calibrate:
            self.recalibrate()

    @torch.no_grad()
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

    def copies(self, n_copies: int) -> Crossbar:
        """Return K x T chips in this physical state, copy t of chip k in row k T + t, each with its own future.

        Their ledger starts at zero, so it holds what each copy spends. Their futures follow from the streams of these
        chips: a second call gives other futures.
        """
        if n_copies < 1:
            raise ValueError(f"n_copies must be 1 or more, got {n_copies!r}")
        twin = copy.copy(self)
        twin._array = self._array.copies(n_copies)
        twin._read = self._read.of(twin._array)
        return twin

    def state_dict(self) -> dict[str, Any]:
        """Return everything that the future depends on, streams and clock included: tensors and plain numbers."""
        return self._array.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Become the crossbar of a state, to the bit; the configuration stays this one's own."""
        self._array.load_state_dict(state)
        self._read.forget()

    def __repr__(self) -> str:
        """Say size, device and slices."""
        size = f"{self.out_features} x {self.in_features}"
        return f"Crossbar({self.n_chips} chips of {size} on {self.cfg.device}, slices={self.cfg.slices})"

    def _check_input(self, x: Tensor) -> None:
        if not x.is_floating_point():
            raise ValueError(f"x must hold floating-point numbers, got {x.dtype}")
        if x.dim() != 3 or x.shape[0] != self.n_chips or x.shape[2] != self.in_features:
            wanted = f"({self.n_chips}, batch, {self.in_features})"
            raise ValueError(f"x must have shape {wanted}, got {tuple(x.shape)}")

    def _check_delta(self, delta: Tensor) -> Tensor:
        wanted = (self.n_chips, self.out_features, self.in_features)
        if tuple(delta.shape) not in (wanted, wanted[1:]):
            raise ValueError(f"delta must have shape {wanted} or {wanted[1:]}, got {tuple(delta.shape)}")
        if not delta.is_floating_point():
            raise ValueError(f"delta must hold floating-point numbers, got {delta.dtype}")
        return delta.detach().to(self._array.unit)
