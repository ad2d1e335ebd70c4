"""Philox4x32-10, a counter-based generator, in plain torch: the oracle of the native kernels and the way without them.

Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011, 10.1145/2063384.2063405. A block
of four 32-bit words is a function of a key of two words and a counter of four. Words are int64, from 0 to 2^32 - 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

_MASK = 0xFFFFFFFF
_M0, _M1 = 0xD2511F53, 0xCD9E8D57  # the multipliers of the paper
_W0, _W1 = 0x9E3779B9, 0xBB67AE85  # the steps of its key, from the golden ratio and the root of 3
_ROUNDS = 10
GROUP = 16
"""Blocks whose words lie together: number i comes from word (i / 16) mod 4 of block 16 (i / 64) + i mod 16, so that
sixteen lanes of a vector register store what they computed side by side."""


def philox(counter: Sequence[Tensor], key: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Return the four words of the blocks at some counters; all arguments broadcast."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(_ROUNDS):
        p0, p1 = c0 * _M0, c2 * _M1  # products of 64 bits; int64 wraps, which its bits survive
        c0, c1, c2, c3 = _high(p1) ^ c1 ^ k0, p1 & _MASK, _high(p0) ^ c3 ^ k1, p0 & _MASK
        k0, k1 = (k0 + _W0) & _MASK, (k1 + _W1) & _MASK
    return c0, c1, c2, c3


def derive_keys(keys: Tensor, words: tuple[Tensor, Tensor, Tensor, Tensor]) -> Tensor:
    """Return keys that follow from other keys and a counter, int64; all arguments broadcast."""
    low, high, *_ = philox(words, split(keys))
    return low | (high << 32)


def dense_normal(keys: Tensor, n: int, draw: int, part: int) -> Tensor:
    """Return the first n standard normal numbers of one part of a draw. Shape: (rows,) to (rows, n)."""
    groups = -(-n // (4 * GROUP))
    block = torch.arange(groups * GROUP, device=keys.device)
    words = philox(_counter(block, draw, part), split(keys.unsqueeze(-1)))
    pairs = [*_box_muller(words[0], words[1]), *_box_muller(words[2], words[3])]
    lanes = torch.stack([each.unflatten(-1, (groups, GROUP)) for each in pairs], -2)
    return lanes.flatten(-3)[:, :n].contiguous()


def sparse_normal(keys: Tensor, index: Tensor, draw: int, part: int) -> Tensor:
    """Return single standard normal numbers: number `index` of the row with that key; arguments broadcast."""
    block = (index // (4 * GROUP)) * GROUP + index % GROUP
    lane = (index // GROUP) % 4
    words = philox(_counter(block, draw, part), split(keys))
    later = lane >= 2
    even, odd = _box_muller(torch.where(later, words[2], words[0]), torch.where(later, words[3], words[1]))
    return torch.where(lane % 2 == 1, odd, even)


def split(keys: Tensor) -> tuple[Tensor, Tensor]:
    """Return the two words of 64-bit keys."""
    return keys & _MASK, _high(keys)


def _counter(block: Tensor, draw: int, part: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    rest = torch.tensor([part, draw & _MASK, draw >> 32], dtype=torch.int64, device=block.device)
    return block, rest[0], rest[1], rest[2]


def _high(x: Tensor) -> Tensor:
    return (x >> 32) & _MASK


def _box_muller(radius: Tensor, angle: Tensor) -> tuple[Tensor, Tensor]:
    """Return two normal numbers from two words; the angle is reduced to an eighth of a turn before it is rounded."""
    u = (radius.to(torch.float32) + 0.5) * 2.0**-32
    r = torch.sqrt(-2.0 * torch.log(u))
    turned = angle + (1 << 29)
    quarter = (turned >> 30) & 3
    rest = (((turned & _MASK) & ((1 << 30) - 1)) - (1 << 29)).to(torch.float32) * (2.0 * math.pi / 2.0**32)
    sine, cosine = torch.sin(rest), torch.cos(rest)
    odd = quarter % 2 == 1
    sine, cosine = torch.where(odd, cosine, sine), torch.where(odd, sine, cosine)
    sine = torch.where(quarter >= 2, -sine, sine)
    cosine = torch.where((quarter == 1) | (quarter == 2), -cosine, cosine)
    return r * cosine, r * sine
