"""What the nominal arm's chain of links says of a way: how far each joint's turning leads along it.

Torques that pull the tip along a way are the transposed Jacobian times the way (Takegaki and Arimoto, J. Dyn. Sys.
Meas. Control 103, 1981). Policies and signals are told it for the nominal links; true ones differ in length.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from envs.kinematics import links_of
from envs.tasks import as_tuple

Chain = tuple[float, ...]  # J times rotation (9), axis (3), offset (3), then the tip (3); m


def nominal_chain(arm: Any) -> Chain:
    """Return the chain of an arm's nominal links."""
    links = links_of(arm, as_tuple(arm, None))
    parts = [
        np.concatenate([r.ravel(), a, o[:, 0]])
        for r, a, o in zip(links.rotation, links.axis, links.offset_m, strict=True)
    ]
    return tuple(np.concatenate([*parts, links.tip_m[:, 0]]).round(9).tolist())


def pull(chain: Chain, axes: tuple[int, ...], q_rad: Tensor, way: Tensor) -> Tensor:
    """Return the way that the tip goes along `way` by a radian of each joint, (..., J), m.

    Args:
        chain: The links.
        axes: Which of the world's axes the D coordinates of a way are.
        q_rad: Joint positions, (..., J).
        way: (..., D).
    """
    links = torch.tensor(chain[:-3], dtype=q_rad.dtype).view(-1, 15)
    full = q_rad.new_zeros(*way.shape[:-1], 3)
    full[..., list(axes)] = way
    place, turn = torch.zeros_like(full), torch.eye(3, dtype=q_rad.dtype).expand(*full.shape, 3)
    hinges = []
    for link, angle in zip(links, q_rad.unbind(-1), strict=True):
        place = place + turn @ link[12:15]
        turn = turn @ link[:9].view(3, 3)
        hinges.append((turn @ link[9:12], place))
        turn = turn @ _spin(link[9:12], angle)
    tip = place + turn @ torch.tensor(chain[-3:], dtype=q_rad.dtype)
    return torch.stack([(torch.linalg.cross(axis, tip - at) * full).sum(-1) for axis, at in hinges], dim=-1)


def _spin(axis: Tensor, angle_rad: Tensor) -> Tensor:
    """Return rotations (..., 3, 3) about an axis (3,) by angles (...) (Rodrigues)."""
    x, y, z = axis.tolist()
    across = torch.tensor([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]], dtype=angle_rad.dtype)
    sine, cosine = torch.sin(angle_rad)[..., None, None], torch.cos(angle_rad)[..., None, None]
    return torch.eye(3, dtype=angle_rad.dtype) + sine * across + (1.0 - cosine) * (across @ across)
