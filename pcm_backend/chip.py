"""The cores of a chip and its clock."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from .checks import check_shapes, is_number

CORE = 256
"""Rows and output lines of a core of the HERMES chip (Le Gallo NatElectron 2023, 10.1038/s41928-023-01010-1)."""


def count_cores(n_rows: int, n_lines: int) -> int:
    """Return how many cores a layer occupies; slices lie side by side as further lines."""
    return -(-n_rows // CORE) * -(-n_lines // CORE)


def row_blocks(n_rows: int) -> tuple[slice, ...]:
    """Return which rows lie on which core: as many cores as needed, filled alike to within a row.

    A kernel of 504 rows lies in two halves of 252. Each core has converters of its own, so what it adds up is converted
    before the sums of several cores are added digitally.
    """
    n_blocks = -(-n_rows // CORE)
    edges = [n_rows * index // n_blocks for index in range(n_blocks + 1)]
    return tuple(slice(start, stop) for start, stop in pairwise(edges))


class Clock:
    """Time since deployment of every chip, s, in float64: float32 could not tell two seconds apart after a year.

    A write takes time, but time does not pass inside it: what is pending passes at the next read or advance.
    """

    def __init__(self, n_chips: int, device: torch.device) -> None:
        self.now_s = torch.zeros(n_chips, dtype=torch.float64, device=device)
        self.pending_s = torch.zeros_like(self.now_s)
        self._waiting = False

    def owe(self, seconds: Tensor) -> None:
        """Put off the duration of a write. Shape: (K,)."""
        self.pending_s = self.pending_s + seconds
        self._waiting = True

    def settle(self) -> bool:
        """Let pending time pass; return whether there was any."""
        if not self._waiting:
            return False
        self.now_s, self.pending_s = self.now_s + self.pending_s, torch.zeros_like(self.now_s)
        self._waiting = False
        return True

    def advance(self, seconds: float) -> None:
        """Let time pass, what is pending first."""
        if isinstance(seconds, Tensor) and seconds.numel() == 1:
            seconds = float(seconds)
        if not is_number(seconds) or seconds < 0:
            raise ValueError(f"seconds must be zero or more and finite, got {seconds!r}")
        self.settle()
        self.now_s = self.now_s + seconds

    def repeat(self, n_copies: int) -> Clock:
        """Return the clock of every chip's copies."""
        twin = Clock(len(self.now_s) * n_copies, self.now_s.device)
        twin.now_s = self.now_s.repeat_interleave(n_copies)
        twin.pending_s = self.pending_s.repeat_interleave(n_copies)
        twin._waiting = self._waiting
        return twin

    def state_dict(self) -> dict[str, Tensor]:
        """Return both readings."""
        return {"now_s": self.now_s.clone(), "pending_s": self.pending_s.clone()}

    def check_state(self, state: Any) -> None:
        """Refuse a state that is not of as many chips."""
        check_shapes("clocks", state, self.state_dict())

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Set both readings."""
        self.check_state(state)
        self.now_s, self.pending_s = (state[key].to(self.now_s).clone() for key in ("now_s", "pending_s"))
        self._waiting = bool((self.pending_s > 0).any())
