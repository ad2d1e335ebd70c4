"""How a matrix lies on a chip."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

from .checks import check_kind, check_one_of, check_positive, check_positive_each, check_whole, is_number
from .devices import OffDevice, find_device
from .faults import FaultCfg
from .filling import half_of
from .periphery import PeripheryCfg
from .updates import UpdateCfg

Scale = Literal["column", "matrix", "core"]
Compensated = Literal["column", "global", "none"]
ReadNoise = Literal["each", "frozen", "off"]


@dataclass(frozen=True)
class CrossbarCfg:
    """Device model, mapping, converters and the assumptions behind the bill of one crossbar."""

    device: str = "hermes_2"
    """Name in `DEVICES`."""
    off_device: OffDevice = "noisy"
    """What a device programmed to exactly zero conducts: the error of its fit; "ideal": nothing, and it stays quiet."""
    scale: Scale = "column"
    """What shares one factor from weight to conductance: an output line, the matrix, or the 256 lines of a core."""
    headroom: float = 1.0
    """Range over the largest weight that shares it; of no effect where `w_range` is given."""
    w_range: float | tuple[float, ...] | None = None
    """Weight that the largest conductance stands for, one for all or one per output line; None: from the weights."""
    read_noise: ReadNoise = "each"
    """When read noise is drawn: at each read; once per advance or write of the device; never."""
    dac_bits: int = 8
    """Resolution of the inputs, sign included; 0: no converter."""
    adc_bits: int = 8
    """Resolution of the outputs, sign included; 0: no converter."""
    in_range: float | None = None
    """Input at full scale; None: the largest magnitude of each vector."""
    out_range: float | tuple[float, ...] | None = None
    """Output at full scale, one for all or one per line; None: the largest magnitude of each vector. Of a layer with
    more rows than a core each core converts its own part of the sum: one per line serves every core; as many times
    more as there are cores are theirs, core by core."""
    out_doublings: int = 0
    """How often the output's full scale may be doubled, and the product repeated and billed, while a line clips: small
    outputs keep a fine scale (the iterative bound management of IBM's aihwkit, rpu_forward_backward_pass.cpp)."""
    slices: int = 1
    """Pairs of conductances per weight, 1 or 2; the second holds the error that the first left."""
    slice_ratio: float = 8.0
    """Range of the first slice over that of the second."""
    slice_out_share: float = 0.5
    """Output of the second slice at full scale over that of the first."""
    rows_per_weight: int = 1
    """Rows that hold the same weight and are driven together: their currents add on the line, so the error of a weight,
    of programming as of reading, falls with the root of their number, at no further product where the core has the
    rows; a write pulses all of them."""
    verify_reads: int = 8
    """Noisy reads of a cell that a verify averages."""
    calibration_reads: int = 4
    """Noisy reads of a line that a measurement of its compensation factor averages, for each one-hot input."""
    phases: int = 4
    """Phases of a product, 1 or 4: they set its energy and duration, and what is lost in its wires."""
    compensation: Compensated = "column"
    """What shares one factor against drift: an output line; all lines of a chip's matrix; none, it drifts."""
    periphery: PeripheryCfg = field(default_factory=PeripheryCfg)
    """What errs around the array besides resolution and range of its converters: nothing by default."""
    updates: UpdateCfg = field(default_factory=UpdateCfg)
    """How increments become pulses, and the first programming."""
    faults: FaultCfg = field(default_factory=FaultCfg)
    """What is broken."""
    pulse_s: float = 100e-9
    """Assumption: duration of a programming pulse, s (50 to 150 ns are published)."""

    def __post_init__(self) -> None:
        for name, kind in (("periphery", PeripheryCfg), ("updates", UpdateCfg), ("faults", FaultCfg)):
            check_kind(name, getattr(self, name), kind)
        check_one_of("off_device", self.off_device, list(get_args(OffDevice)))
        find_device(self.device, self.off_device)
        check_one_of("scale", self.scale, list(get_args(Scale)))
        check_one_of("read_noise", self.read_noise, list(get_args(ReadNoise)))
        check_one_of("slices", self.slices, [1, 2])
        check_one_of("compensation", self.compensation, list(get_args(Compensated)))
        check_one_of("phases", self.phases, [1, 4])
        for name in ("dac_bits", "adc_bits"):
            if getattr(self, name) not in (0, *range(2, 17)):
                raise ValueError(f"{name} must be 0 (no converter) or 2 to 16, got {getattr(self, name)!r}")
        if self.out_doublings not in range(9) or (self.out_doublings and self.out_range is None):
            raise ValueError(f"out_doublings must be 0 to 8, with out_range given, got {self.out_doublings!r}")
        for name in ("headroom", "slice_ratio"):
            if not (is_number(getattr(self, name)) and getattr(self, name) >= 1.0):
                raise ValueError(f"{name} must be 1 or more, got {getattr(self, name)!r}")
        for name in ("w_range", "out_range"):
            check_positive_each(name, getattr(self, name))
        for name in ("in_range", "slice_out_share", "pulse_s"):
            check_positive(name, getattr(self, name))
        for name in ("rows_per_weight", "verify_reads", "calibration_reads"):
            check_whole(name, getattr(self, name))
        if self.updates.first == "max_set_fill":
            half_of(self.device)
        if self.slices > 1 and self.updates.pulses != "verify":
            raise ValueError(f"updates by {self.updates.pulses!r} write one slice, got slices={self.slices}")
