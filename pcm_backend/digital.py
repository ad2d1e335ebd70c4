"""Digital memory beside the array: increments that wait, and a copy of the targets; with what a write asks for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from .checks import check_kind, check_shapes
from .streams import Streams
from .updates import UpdateCfg, gather, round_stochastically


class Digital:
    """Accumulator and copy of targets of K chips, without the bias, each None where it is not kept.

    Shape of each: (K, out, in).
    """

    def __init__(self, accumulator: Tensor | None, targets: Tensor | None, shape: torch.Size) -> None:
        self.accumulator, self.targets, self._shape = accumulator, targets, shape

    @classmethod
    def blank(cls, cfg: UpdateCfg, table: Tensor, n_chips: int, has_bias: bool) -> Digital:
        """Return what a configuration keeps of a table of weights that is about to be programmed.

        Args:
            cfg: Says what is kept.
            table: Shape (K, out, in), or (1, out, in) for all chips; in with the bias.
            n_chips: K.
            has_bias: Whether the last row of the table is the bias.
        """
        weights = (table[..., :-1] if has_bias else table).expand(n_chips, -1, -1)
        accumulator = torch.zeros_like(weights) if cfg.gathers else None
        return cls(accumulator, weights.clone() if cfg.base == "target" else None, weights.shape)

    def ask(self, delta: Tensor, cfg: UpdateCfg, limit: Tensor, streams: Streams) -> Tensor:
        """Return the increments that are to be written now, exactly zero elsewhere.

        Args:
            delta: Shape (K, out, in); (out, in) for all chips where it is written as it comes.
            cfg: Method and grid.
            limit: Range of every line, shape (K, out, 1).
            streams: The chips' random numbers.
        """
        if cfg.method == "stochastic":
            uniform = torch.special.ndtr(streams.normal(*delta.shape[1:]))
            return round_stochastically(delta, cfg.grid(limit), uniform)
        if self.accumulator is None:
            return delta
        write, self.accumulator = gather(self.accumulator, delta, cfg.grid(limit))
        return write

    def aim(self, delta: Tensor, limit: Tensor) -> None:
        """Move the copy of the targets by increments, no further than a limit of shape (K, out, 1) or (K, out, in)."""
        if self.targets is not None:
            limit = limit[..., : self.targets.shape[-1]]
            self.targets = torch.minimum(torch.maximum(self.targets + delta, -limit), limit)

    @property
    def target_bytes(self) -> int:
        """Bytes that the copy of the targets takes for each chip."""
        return 0 if self.targets is None else self.targets[0].numel() * self.targets.element_size()

    def repeat(self, n_copies: int) -> Digital:
        """Return the memory of every chip's copies."""
        accumulator, targets = (
            None if each is None else each.repeat_interleave(n_copies, 0) for each in (self.accumulator, self.targets)
        )
        return Digital(accumulator, targets, torch.Size((self._shape[0] * n_copies, *self._shape[1:])))

    def state_dict(self) -> dict[str, Tensor]:
        """Return what is kept."""
        kept = {"accumulator": self.accumulator, "targets": self.targets}
        return {name: each.clone() for name, each in kept.items() if each is not None}

    def check_state(self, state: Any) -> None:
        """Refuse what this memory cannot keep; a copy of targets may have been begun by a write, an accumulator not."""
        check_kind("the state of digital memory", state, Mapping)
        if ("accumulator" in state) != (self.accumulator is not None):
            raise ValueError(f"the state keeps {sorted(state)}, this crossbar {sorted(self.state_dict())}")
        like = torch.empty(self._shape, device="meta")
        check_shapes("digital memory", state, {name: like for name in ("accumulator", "targets") if name in state})

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Keep what a state kept."""
        self.check_state(state)
        self.accumulator, self.targets = (
            None if name not in state else state[name].clone() for name in ("accumulator", "targets")
        )
