"""The policy network: what is digital, what is a matrix on the chip, and where it may be written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn

from .checks import check_at_least


@dataclass(frozen=True)
class NetworkCfg:
    """Sizes and fixed input scales of the policy network."""

    n_joints: int
    """Joints of the arm, J; one output each."""
    parallel_joints: tuple[int, ...]
    """Consecutive joints with parallel axes: sums of their angles give the links' pitch."""
    hidden: int = 64
    """Width of the two hidden layers."""
    n_features: int = 48
    """Features D that the plastic head reads, the constant one among them."""
    velocity_scale_rad_s: float = 5.0
    """Joint velocity that reads as 1, the converters' full scale."""
    stiction_scale_rad_s: float = 0.1
    """Joint velocity where the sign of motion, a tanh, is half-way: what Coulomb friction needs."""
    acceleration_scale_rad_s2: float = 50.0
    """Joint acceleration that reads as 1, the converters' full scale."""

    def __post_init__(self) -> None:
        """Refuse sizes that make no network."""
        check_at_least(1, self, "n_joints", "hidden")
        if self.n_features < 2:
            raise ValueError(f"n_features must be at least 2 (one is constant), got {self.n_features}")

    @property
    def n_inputs(self) -> int:
        """Width of the encoded input: sines, cosines, velocity, its sign, acceleration."""
        return 5 * self.n_joints + 2 * (len(self.parallel_joints) - 1)


class Encoding(Protocol):
    """A learner as its inputs and outputs see it: whatever its layers are."""

    network: NetworkCfg
    """Sizes and input scales."""
    action_scale: Tensor
    """Action that one network unit stands for, (J,)."""


class Reading(NamedTuple):
    """What the fixed layers say of a batch of inputs."""

    features: Tensor  # (..., D), the last one constant 1
    command: Tensor  # (..., J), the part of the command that is never written, in network units


def encode(cfg: NetworkCfg, q_rad: Tensor, qd_rad_s: Tensor, qdd_rad_s2: Tensor) -> Tensor:
    """Return the digital encoding of a state and an acceleration, shape (..., n_inputs), all within -1 to 1.

    Args:
        cfg: Scales and the joints whose angles add up.
        q_rad: Joint positions, (..., J).
        qd_rad_s: Joint velocities, (..., J).
        qdd_rad_s2: Wanted or measured joint accelerations, (..., J).
    """
    pitch = torch.cumsum(q_rad[..., list(cfg.parallel_joints)], dim=-1)[..., 1:]
    angles = torch.cat([q_rad, pitch], dim=-1)
    return torch.cat(
        [
            torch.sin(angles),
            torch.cos(angles),
            (qd_rad_s / cfg.velocity_scale_rad_s).clamp(-1.0, 1.0),
            torch.tanh(qd_rad_s / cfg.stiction_scale_rad_s),
            (qdd_rad_s2 / cfg.acceleration_scale_rad_s2).clamp(-1.0, 1.0),
        ],
        dim=-1,
    )


class FixedLayers(nn.Module):
    """The layers that are programmed once: two of tanh, the features, and the innate command."""

    def __init__(self, cfg: NetworkCfg) -> None:
        super().__init__()
        self.first = nn.Linear(cfg.n_inputs, cfg.hidden)
        self.second = nn.Linear(cfg.hidden, cfg.hidden)
        self.feature = nn.Linear(cfg.hidden, cfg.n_features - 1)
        self.innate = nn.Linear(cfg.hidden, cfg.n_joints)

    def forward(self, x: Tensor) -> Reading:
        """Return features and innate command of encoded inputs (..., n_inputs)."""
        hidden = torch.tanh(self.second(torch.tanh(self.first(x))))
        features = torch.tanh(self.feature(hidden))
        constant = torch.ones_like(features[..., :1])
        return Reading(torch.cat([features, constant], dim=-1), self.innate(hidden))


def initialise(module: nn.Module, generator: torch.Generator) -> None:
    """Draw every linear layer anew from `generator`: Glorot weights, zero biases."""
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            nn.init.xavier_uniform_(layer.weight, generator=generator)
            nn.init.zeros_(layer.bias)
