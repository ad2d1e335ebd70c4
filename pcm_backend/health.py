"""The faults of one array while it is used: they narrow what can be programmed, and every miss is noted.

Devices are named by their place in the flattened array of conductances, (K, slices, 2, lines, rows).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from .checks import check_shapes
from .faults import (
    KINDS,
    FaultCfg,
    Faults,
    endurances,
    limits_us,
    obstacles,
    smallest,
    stuck_codes,
    stuck_shape,
    with_dead_lines,
    worn,
)
from .streams import Streams

_DEAD = (KINDS.index("dead_row") + 1, KINDS.index("dead_column") + 1)


class Cut(NamedTuple):
    """Targets as far as they can be reached. Shape of each: (n,)."""

    reached_us: Tensor
    too_low: Tensor
    """Where that is below the target by more than the verify accepts."""
    too_high: Tensor
    """The same, above."""


class Health:
    """What every device of K chips can still do, and what was asked of it in vain since the last report."""

    def __init__(self, faults: Faults, g_max_us: float) -> None:
        self.faults, self._g_max_us = faults, g_max_us
        self._low_us, self._high_us = limits_us(faults.code, g_max_us)
        self._missed = self._nothing()

    @classmethod
    def drawn(
        cls, cfg: FaultCfg, g_max_us: float, n_physical: int, shape: tuple[int, ...], streams: Streams
    ) -> Health | None:
        """Return the health of new chips; None where nothing is or can become broken.

        Args:
            cfg: What breaks.
            g_max_us: Largest conductance, uS.
            n_physical: Physical devices in one conductance.
            shape: Of the conductances of one chip, (slices, 2, lines, rows).
            streams: The chips' random numbers.
        """
        if not cfg.any:
            return None
        slices, _, lines, rows = shape
        uniform = torch.special.ndtr(streams.normal(*stuck_shape(cfg, n_physical, shape))).transpose(0, 1)
        code = stuck_codes(cfg, uniform).expand(n_physical, -1, *shape)
        dead_rows = smallest(streams.normal(rows), cfg.dead_rows, "dead_rows")
        dead_columns = smallest(streams.normal(slices * lines), cfg.dead_columns, "dead_columns")
        code = with_dead_lines(code, dead_rows, dead_columns.unflatten(1, (slices, lines))).contiguous()
        if cfg.endurance is None:
            return cls(Faults(code, None, None), g_max_us)
        endurance = endurances(cfg, streams.normal(n_physical, *shape)).transpose(0, 1).contiguous()
        return cls(Faults(code, torch.zeros(code.shape[1:], device=code.device), endurance), g_max_us)

    def cut(self, flat: Tensor, target_us: Tensor, tolerance_us: Tensor) -> Cut:
        """Return the nearest targets that can be programmed, and note the devices that keep others from theirs.

        Args:
            flat: Devices that are programmed. Shape: (n,).
            target_us: What is wanted, uS. Shape: (n,).
            tolerance_us: Miss that the verify accepts, uS. Shape: (n,).
        """
        reached_us = self.nearest(flat, target_us)
        blamed = obstacles(self.faults.code.flatten(1)[:, flat], target_us, reached_us, tolerance_us).sum(1)
        self._missed.index_add_(1, flat // self.faults.code[0, 0].numel(), blamed.double())
        return Cut(reached_us, reached_us < target_us - tolerance_us, reached_us > target_us + tolerance_us)

    def nearest(self, flat: Tensor, target_us: Tensor) -> Tensor:
        """Return the nearest conductances that a list of devices can have, uS. Shape: (n,)."""
        return torch.minimum(torch.maximum(target_us, self._low_us.view(-1)[flat]), self._high_us.view(-1)[flat])

    def clipped(self, g_us: Tensor) -> Tensor:
        """Return conductances, those with a broken device within what is left to them.

        Shape: (K, slices, 2, lines, rows), uS.
        """
        return torch.where((self.faults.code > 0).any(0), g_us.clamp(self._low_us, self._high_us), g_us)

    def lowest_us(self, flat: Tensor) -> Tensor:
        """Return the lowest conductances that a list of devices can have, uS. Shape: (n,)."""
        return self._low_us.view(-1)[flat]

    def movable(self, flat: Tensor) -> Tensor:
        """Return which of a list of conductances a pulse can still change. Shape: (n,)."""
        return self._low_us.view(-1)[flat] < self._high_us.view(-1)[flat]

    def silent(self, index: int) -> Tensor:
        """Return which conductances of a slice lie on a dead line: not even what an off device conducts is left.

        Shape: (K, 2, lines, rows).
        """
        code = self.faults.code[0, :, index]
        return (code == _DEAD[0]) | (code == _DEAD[1])

    def broken_cells(self) -> Tensor:
        """Return the cells that have a broken device on any slice and polarity. Shape: (K, lines, rows), bool."""
        return (self.faults.code > 0).any(0).any(1).any(1)

    def report(self) -> Tensor:
        """Return the devices that kept a conductance from its target since the last report. Shape: (kinds, K)."""
        missed, self._missed = self._missed, self._nothing()
        return missed

    def wear(self, flat: Tensor, pulses: Tensor | float) -> Tensor | None:
        """Add pulses to every device of some conductances; return the share of them that is left, None for all.

        Args:
            flat: Each at most once. Shape: (n,).
            pulses: Of each of their devices, shape (n,) or one number.
        """
        code, wear, endurance = self.faults
        if wear is None or endurance is None:
            return None
        part = Faults(code.flatten(1)[:, flat], wear.view(-1)[flat], endurance.flatten(1)[:, flat])
        part, left = worn(part, torch.as_tensor(pulses, device=flat.device))
        assert part.wear is not None
        code.view(len(code), -1)[:, flat], wear.view(-1)[flat] = part.code, part.wear
        self._low_us.view(-1)[flat], self._high_us.view(-1)[flat] = limits_us(part.code, self._g_max_us)
        return left if bool((left < 1.0).any()) else None

    def repeat(self, n_copies: int) -> Health:
        """Return the health of every chip's copies."""
        code, wear, endurance = self.faults
        code = code.repeat_interleave(n_copies, 1)
        if wear is None or endurance is None:
            return Health(Faults(code, None, None), self._g_max_us)
        parts = wear.repeat_interleave(n_copies, 0), endurance.repeat_interleave(n_copies, 1)
        return Health(Faults(code, *parts), self._g_max_us)

    def state_dict(self) -> dict[str, Tensor]:
        """Return every tensor of the state."""
        return {name: each.clone() for name, each in self.faults._asdict().items() if each is not None}

    def check_state(self, state: Any) -> None:
        """Refuse a state that is not of such devices and faults."""
        check_shapes("faults", state, self.state_dict())

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Set every tensor of the state."""
        self.check_state(state)
        own = {name: state[name].to(each).clone() for name, each in self.state_dict().items()}
        self.faults = Faults(own["code"], own.get("wear"), own.get("endurance"))
        self._low_us, self._high_us = limits_us(self.faults.code, self._g_max_us)

    def _nothing(self) -> Tensor:
        code = self.faults.code
        return torch.zeros((len(KINDS), code.shape[1]), dtype=torch.float64, device=code.device)
