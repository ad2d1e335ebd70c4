"""Small turns, stretches and shifts of training pictures."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as fn


def jitter(images: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    """Return each picture (n, C, H, W) moved by an affine map of its own.

    At strength 1 the standard deviations are 0.1 for each entry of the 2 x 2 matrix (about 6 degrees, 10 % of size) and
    1.4 pixels of 28 for the place; what comes in from outside is paper (0).
    """
    if strength == 0.0:
        return images
    n = images.shape[0]
    map_ = torch.zeros(n, 2, 3).normal_(generator=generator) * (0.1 * strength)
    map_[:, :, :2] += torch.eye(2)
    grid = fn.affine_grid(map_.to(images.device), list(images.shape), align_corners=False)
    return fn.grid_sample(images, grid, align_corners=False)
