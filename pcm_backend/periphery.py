"""What stands around an array besides its converters' resolution and range: by default nothing that errs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

Conversion = Literal["net", "each_phase"]


@dataclass(frozen=True)
class PeripheryCfg:
    """Errors of converters and wires; each is off at its default and then costs nothing."""

    gain_spread: float = 0.0
    """Standard deviation of a converter's gain from line to line, drawn once a chip, cut at 3 deviations.
    HERMES: .0709 (spread of 7.09 %, all within 21 %; Khaddam-Aljameh JSSC 2022, 10.1109/jssc.2022.3140414)."""
    offset_spread: float = 0.0
    """Standard deviation of a converter's offset from line to line, over full scale, drawn once a chip. HERMES takes it
    out together with the gain; no figure was found for it."""
    column_reads: int = 64
    """Readings of each of the two known currents that measure gain and offset, after programming and whenever the
    array is calibrated; 0: never, gain and offset stay in. Assumption."""
    out_noise: float = 0.0
    """Standard deviation of the noise that converting one phase adds, over full scale; four phases add twice as much.
    IBM's aihwkit, io.py and presets/utils.py, has .04 of a range of 10, .1 of 20, .06 of 12 for a whole product, so
    .004 to .005, or .002 a phase. HERMES: all errors of a product together 1.94 % (Khaddam-Aljameh JSSC 2022)."""
    wire_ohm: float = 0.0
    """Resistance of an output line from one cell to the next, ohm. aihwkit: .35 (rpu_forward_backward_pass.h, wire
    over 5 uS of device), .15 in its time-stepped model (tiles/analog_mvm_irdrop_t.py)."""
    conversion: Conversion = "net"
    """What is converted in four phases: their sum, or each phase by itself, from zero up, with its own noise."""
    partial_range: float = 0.5
    """Full scale of one phase's conversion over the largest current that its line can carry: every row fully driven by
    one sign and the larger polarity read; up to 1. It follows the lines as they are now, and no reading is billed for
    that. Of use with `each_phase`, where `out_range` and `out_doublings` are not. Assumption."""
    polarity_spread: float = 0.0
    """Standard deviation, from line to line, of what calibration leaves of the ratio between conductances at the two
    read polarities; only in one phase. Le Gallo npj Unconv. Comput. 2024, 10.1038/s44335-024-00010-4, names it as what
    limits one phase; no figure was found for what is left."""

    def __post_init__(self) -> None:
        for name in ("gain_spread", "offset_spread", "out_noise", "wire_ohm", "polarity_spread"):
            if not 0.0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be 0 or more and finite, got {getattr(self, name)!r}")
        if self.gain_spread >= 1.0 / 3.0:
            raise ValueError(f"gain_spread must be under 1/3, so that no gain reaches zero, got {self.gain_spread!r}")
        if not (isinstance(self.column_reads, int) and self.column_reads >= 0):
            raise ValueError(f"column_reads must be a whole number, 0 or more, got {self.column_reads!r}")
        if not 0.0 < self.partial_range <= 1.0:
            raise ValueError(f"partial_range must be above 0 and at most 1, got {self.partial_range!r}")
        if self.conversion not in get_args(Conversion):
            raise ValueError(f"unknown conversion {self.conversion!r}; choose from {list(get_args(Conversion))}")

    @property
    def errs(self) -> bool:
        """Whether anything does."""
        wrong = self.out_noise, self.wire_ohm, self.polarity_spread
        return self.has_columns or any(each > 0 for each in wrong) or self.conversion == "each_phase"

    @property
    def has_columns(self) -> bool:
        """Whether converters differ from line to line."""
        return self.gain_spread > 0 or self.offset_spread > 0

    @classmethod
    def ideal(cls) -> PeripheryCfg:
        """Return what errs nowhere; converters keep their resolution and range."""
        return cls()

    @classmethod
    def hermes(cls) -> PeripheryCfg:
        """Return the HERMES chip: what was published of it, and aihwkit's figures for IBM's chips where nothing was.

        Published: the spread of gains. aihwkit's: conversion noise and wire. Assumption: an offset of 1 %.
        """
        return cls(gain_spread=0.0709, offset_spread=0.01, out_noise=0.002, wire_ohm=0.35, conversion="each_phase")


PERIPHERIES = {"ideal": PeripheryCfg.ideal, "hermes": PeripheryCfg.hermes}
"""Presets by name."""
