"""The drawings of many tasks, read on chips: a drawing is read once, however many tasks show it.

Omniglot's test characters have 8,460 drawings, and 600 tasks of 20 ways show 120,000. The drawings of one task are all
different, so within a task every read has noise of its own, as if nothing were shared.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from .maml import to_pictures
from .maml_features import Features

PICTURES_AT_ONCE = 25  # that a chip reads in one batch, and whole tasks: more leaves the caches


class Distinct(NamedTuple):
    """Drawings without repetition."""

    pictures: Tensor
    """uint8 (n, H, W)."""
    where: list[Tensor]
    """Which of them each drawing of the parts is, int64, each (T, N x drawings)."""


def distinct_drawings(parts: Sequence[np.ndarray]) -> Distinct:
    """Return what parts of tasks show, uint8 (T, N, drawings, H, W): each drawing once, in order of appearance."""
    found: dict[bytes, int] = {}
    where = []
    for part in parts:
        each = np.ascontiguousarray(part).reshape(-1, *part.shape[3:])
        index = [found.setdefault(picture.tobytes(), len(found)) for picture in each]
        where.append(torch.tensor(index).view(len(part), -1))
    pictures = np.frombuffer(bytearray().join(found), np.uint8).reshape(-1, *parts[0].shape[3:])
    return Distinct(torch.from_numpy(pictures), where)


class Reads(NamedTuple):
    """The readout's inputs for the drawings of tasks, as K chips give them."""

    inputs: list[Tensor]
    """Of each part, (K, T, N x drawings, n_inputs)."""
    energy_j: Tensor
    """Of reading one drawing, (K,)."""


def read_tasks(features: Features, parts: Sequence[np.ndarray], transductive: bool) -> Reads:
    """Read what parts of tasks show.

    Args:
        features: On K chips, with settled statistics.
        parts: uint8 arrays (T, N, drawings, H, W).
        transductive: Normalise with the statistics of each task's own drawings of a part; then nothing is shared.
    """
    before = features.deployed.ledger.energy_j()
    if transductive:
        inputs, n = [_task_by_task(features, part) for part in parts], sum(part[..., 0, 0].size for part in parts)
    else:
        pictures, where = distinct_drawings(parts)
        batches = to_pictures(pictures).split(PICTURES_AT_ONCE)
        once = torch.cat([features.read(some[None], features.settled)[0][:, 0] for some in batches], 1)
        inputs, n = [once[:, index] for index in where], len(pictures)
    return Reads(inputs, (features.deployed.ledger.energy_j() - before) / n)


def _task_by_task(features: Features, part: np.ndarray) -> Tensor:
    """Return the inputs for a part, normalised with each task's own statistics, a few tasks at a time."""
    pictures = to_pictures(torch.from_numpy(part)).unflatten(0, (len(part), -1))
    size = max(1, PICTURES_AT_ONCE // pictures.shape[1])
    return torch.cat([features.read(some)[0] for some in pictures.split(size)], 1)
