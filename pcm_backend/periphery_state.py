"""What stands around one array on K chips: its converters and the polarities it is read at, with what is known of them.

This holds state; what it does to a read is in `periphery_read.py`.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from . import columns
from .checks import check_shapes
from .columns import Columns
from .periphery import PeripheryCfg
from .streams import Streams


class PeripheryState:
    """Converters of every line on every core of rows, and what the last calibration saw of them; None: nothing errs."""

    def __init__(self, cfg: PeripheryCfg, converters: Columns | None, asymmetry: Tensor | None) -> None:
        self.cfg, self.converters = cfg, converters
        self.asymmetry = asymmetry  # of the read polarities, shape (K, slices x blocks, lines)

    @classmethod
    def drawn(cls, cfg: PeripheryCfg, n_parts: int, n_lines: int, streams: Streams) -> PeripheryState:
        """Draw what errs; nothing is drawn for what does not."""
        converters = asymmetry = None
        if cfg.has_columns:
            converters = columns.drawn(cfg.gain_spread, cfg.offset_spread, streams.normal(2, n_parts, n_lines))
        if cfg.polarity_spread > 0:
            asymmetry = cfg.polarity_spread * streams.normal(n_parts, n_lines)
        return cls(cfg, converters, asymmetry)

    def calibrate(self, streams: Streams) -> int:
        """Measure gain and offset of every line; return how many readings of all lines that took."""
        if self.converters is None or self.cfg.column_reads == 0:
            return 0
        normal = streams.normal(2, *self.converters.gain.shape[1:])
        self.converters = columns.measured(self.converters, self.cfg.out_noise, self.cfg.column_reads, normal)
        return 2 * self.cfg.column_reads

    def repeat(self, n_copies: int) -> PeripheryState:
        """Return what stands around every chip's copies: the same converters."""
        converters = None if self.converters is None else self.converters.repeat(n_copies)
        asymmetry = None if self.asymmetry is None else self.asymmetry.repeat_interleave(n_copies, 0)
        return PeripheryState(self.cfg, converters, asymmetry)

    def state_dict(self) -> dict[str, Tensor]:
        """Return every tensor."""
        state = (
            {} if self.converters is None else {name: each.clone() for name, each in self.converters._asdict().items()}
        )
        return state if self.asymmetry is None else {**state, "asymmetry": self.asymmetry.clone()}

    def check_state(self, state: Any) -> None:
        """Refuse a state that is of another periphery."""
        check_shapes("periphery", state, self.state_dict())

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Become what a state says."""
        self.check_state(state)
        if self.converters is not None:
            own = {name: state[name].to(each).clone() for name, each in self.converters._asdict().items()}
            self.converters = Columns(**own)
        if self.asymmetry is not None:
            self.asymmetry = state["asymmetry"].to(self.asymmetry).clone()
