"""Random numbers for K chips with T copies each, by counters: no number depends on what else is drawn.

Every row (copy of a chip) has a key of 64 bits, every draw a count, every part of a draw (one call) and every number in
it an index; a number is a function of these four alone. So four chips are the first four of eight, and numbers drawn
one by one at some indices are those of the whole draw.
"""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor

from .checks import check_entries, check_tensor, check_whole
from .native import spread, usable
from .philox import dense_normal, derive_keys, sparse_normal

BLOCK = 8
"""Chips of a block; a chip's key follows from seed, block and place in the block, so that blocks can run anywhere."""
_FORK = 0xFFFFFFFF  # the part of a draw that no numbers are drawn from: it makes keys


class Normal(Protocol):
    """A source of standard normal numbers: each call gives one more for every element of what is drawn for."""

    def __call__(self) -> Tensor:
        """Draw."""
        ...


class Draw:
    """One draw for every row; each call gives its next part."""

    def __init__(self, keys: Tensor, count: int, shape: tuple[int, ...]) -> None:
        self.keys, self.count, self.shape, self.part = keys, count, shape, 0

    def __call__(self) -> Tensor:
        """Return standard normal numbers. Shape: (n_rows, *shape)."""
        n = int(torch.Size(self.shape).numel())
        part, self.part = self.part, self.part + 1
        kernels = usable(self.keys)
        if kernels is None:
            return dense_normal(self.keys, n, self.count, part).view(-1, *self.shape)
        out = torch.empty((len(self.keys), *self.shape))
        addresses, rest = (out.data_ptr(), self.keys.data_ptr()), (n, self.count, part)
        spread(lambda first, last: kernels.dense_normal(*addresses, first, last, *rest), len(self.keys), out.numel())
        return out

    def at(self, row: Tensor, index: Tensor) -> SparseDraw:
        """Return the same draw at some numbers alone, its parts counted from here.

        Args:
            row: Which row each number belongs to, int64. Shape: (n,).
            index: Which number of the row's draw, counted over `shape` flattened, int64. Shape: (n,).
        """
        return SparseDraw(self, row, index)


class SparseDraw:
    """A draw at a list of numbers; each call gives the next part of them."""

    def __init__(self, whole: Draw, row: Tensor, index: Tensor) -> None:
        self._whole, self._row, self._index = whole, row.contiguous(), index.contiguous()
        self._part = whole.part

    def keep(self, places: Tensor) -> SparseDraw:
        """Go on with the numbers at some places of the list alone. Shape: (numbers left,), int64."""
        rest = SparseDraw(self._whole, self._row.index_select(0, places), self._index.index_select(0, places))
        rest._part = self._part
        return rest

    @property
    def origin(self) -> tuple[Tensor, Tensor, Tensor, int, int]:
        """What the numbers to come follow from: keys, row and index of each, count of the draw and next part."""
        return self._whole.keys, self._row, self._index, self._whole.count, self._part

    def __call__(self) -> Tensor:
        """Return standard normal numbers. Shape: (n,)."""
        part, self._part = self._part, self._part + 1
        keys, row, index = self._whole.keys, self._row, self._index
        kernels = usable(keys, row, index)
        if kernels is None:
            return sparse_normal(keys[row], index, self._whole.count, part)
        out = torch.empty(len(row))
        where = [each.data_ptr() for each in (out, keys, row, index)]
        kernels.sparse_normal(*where, len(row), self._whole.count, part)
        return out


class Streams:
    """The keys of K chips with T copies each, and the count of draws; row k T + t belongs to copy t of chip k."""

    def __init__(self, keys: Tensor, n_copies: int) -> None:
        self.keys, self.n_copies, self._count = keys, n_copies, 0

    @classmethod
    def from_seed(cls, seed: int, n_chips: int, device: torch.device) -> Streams:
        """Make every chip's key from seed, block and place in the block."""
        chip = torch.arange(n_chips, device=device)
        zero = torch.zeros_like(chip)
        return cls(derive_keys(torch.tensor(seed, device=device), (chip // BLOCK, chip % BLOCK, zero, zero)), 1)

    @property
    def n_rows(self) -> int:
        """Chips times copies: the first dimension of every draw."""
        return len(self.keys)

    def draw(self, *shape: int) -> Draw:
        """Begin a draw of as many numbers as its user calls for. Shape of each part: (n_rows, *shape)."""
        return Draw(self.keys, self.next_draw(), shape)

    def next_draw(self) -> int:
        """Return the count of a draw that somebody else draws the numbers of."""
        self._count += 1
        return self._count

    def normal(self, *shape: int) -> Tensor:
        """Draw standard normal numbers. Shape: (n_rows, *shape)."""
        return self.draw(*shape)()

    def fork(self, n_copies: int) -> Streams:
        """Give every row `n_copies` rows with keys, and so a future, of their own; no two forks give the same."""
        count = self.next_draw()
        copy = torch.arange(n_copies, device=self.keys.device)
        part, low, high = (torch.full_like(copy, each) for each in (_FORK, count & 0xFFFFFFFF, count >> 32))
        keys = derive_keys(self.keys.unsqueeze(-1), (copy, part, low, high))
        return Streams(keys.flatten(), self.n_copies * n_copies)

    def state_dict(self) -> dict[str, Any]:
        """Return keys and count."""
        return {"n_copies": self.n_copies, "keys": self.keys.clone(), "count": self._count}

    def check_state(self, state: Any) -> None:
        """Refuse a state that is not of as many chips and copies."""
        check_entries("random numbers", state, ("n_copies", "keys", "count"))
        check_tensor("keys", state["keys"])
        check_whole("count", state["count"], least=0)
        theirs, mine = (len(state["keys"]), state["n_copies"]), (len(self.keys), self.n_copies)
        if theirs != mine:
            raise ValueError(
                f"the state has {theirs[0]} rows with {theirs[1]} copies of a chip, this array {mine[0]} with {mine[1]}"
            )

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from where a state stood."""
        self.check_state(state)
        self.keys = state["keys"].to(self.keys).clone()
        self._count = int(state["count"])
