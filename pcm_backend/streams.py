"""Random numbers for K chips: blocks of eight with a generator each, so that no chip depends on how many there are."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

BLOCK = 8
"""Chips that share a generator. A block always draws for all of them: four chips are the first four of eight."""


class Streams:
    """Generators of the blocks of K chips with T copies each; row k T + t of a draw belongs to copy t of chip k."""

    def __init__(self, seeds: list[int], n_chips: int, n_copies: int, device: torch.device) -> None:
        self.n_chips, self.n_copies, self._device = n_chips, n_copies, device
        self._generators = [torch.Generator(device=device).manual_seed(seed) for seed in seeds]

    @classmethod
    def from_seed(cls, seed: int, n_chips: int, device: torch.device) -> Streams:
        """Seed every block from (seed, block)."""
        n_blocks = -(-n_chips // BLOCK)
        words = [
            np.random.SeedSequence(seed, spawn_key=(block,)).generate_state(1, np.uint64) for block in range(n_blocks)
        ]
        return cls([int(word[0]) >> 1 for word in words], n_chips, 1, device)

    @property
    def n_rows(self) -> int:
        """Chips times copies: the first dimension of every draw."""
        return self.n_chips * self.n_copies

    def normal(self, *shape: int) -> Tensor:
        """Draw standard normal numbers. Shape: (n_rows, *shape)."""
        rows = torch.empty((len(self._generators), BLOCK * self.n_copies, *shape), device=self._device)
        for block, generator in zip(rows, self._generators, strict=True):
            block.normal_(generator=generator)
        return rows.flatten(0, 1)[: self.n_rows]

    def fork(self, n_copies: int) -> Streams:
        """Give every row `n_copies` rows with a future of their own; each block's generator draws its child's seed."""
        seeds = [
            int(torch.randint(2**62, (1,), generator=generator, device=self._device)) for generator in self._generators
        ]
        return Streams(seeds, self.n_chips, self.n_copies * n_copies, self._device)

    def state_dict(self) -> dict[str, Any]:
        """Return where every generator stands."""
        return {"n_copies": self.n_copies, "generators": torch.stack([each.get_state() for each in self._generators])}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from where the generators of a state stood."""
        generators = state["generators"]
        if len(generators) != len(self._generators) or state["n_copies"] != self.n_copies:
            raise ValueError(
                f"the state has {len(generators)} blocks of {BLOCK} chips and {state['n_copies']} copies, "
                f"this array {len(self._generators)} and {self.n_copies}"
            )
        for generator, row in zip(self._generators, generators, strict=True):
            generator.set_state(row.cpu().clone())
