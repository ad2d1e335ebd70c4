"""The policies of PPO and RL2 in plain torch: what is left of a library's learner once it is trained."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ..checkpoint import load_of, under
from .scaling import Scaling, scaling_of


class MlpActor(nn.Sequential):
    """Two layers of tanh and a linear one: Stable-Baselines3's MlpPolicy without its critic."""

    def __init__(self, n_obs: int, n_joints: int, hidden: int) -> None:
        super().__init__(
            nn.Linear(n_obs, hidden), nn.Tanh(), nn.Linear(hidden, hidden), nn.Tanh(), nn.Linear(hidden, n_joints)
        )


class LstmActor(nn.Module):
    """An LSTM, a layer of tanh and a linear one: sb3-contrib's MlpLstmPolicy without its critic."""

    def __init__(self, n_obs: int, n_joints: int, hidden: int, lstm: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(n_obs, lstm)
        self.head = nn.Sequential(nn.Linear(lstm, hidden), nn.Tanh(), nn.Linear(hidden, n_joints))

    def forward(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Return commands and the state after them, for x (steps, N, n_obs); on chips (K, steps, N, n_obs)."""
        memory, state = self.lstm(x, state)
        return self.head(memory), state


class Trained(NamedTuple):
    """A policy of a library's learner, as a checkpoint holds it."""

    actor: nn.Module
    scaling: Scaling
    calibration: Tensor  # scaled observations that the chip's converters are set with: what the actor takes
    header: dict[str, Any]


def load_trained(path: Path, env_id: str) -> Trained:
    """Read a policy that was trained on `env_id`.

    Raises:
        FileNotFoundError: No such file.
        ValueError: Not such a checkpoint, or one of another world.
    """
    return rebuild(*load_of(path, env_id))


OURS = {
    "ppo": {"mlp_extractor.policy_net.0": "0", "mlp_extractor.policy_net.2": "2", "action_net": "4"},
    "rl2": {"lstm_actor": "lstm", "mlp_extractor.policy_net.0": "head.0", "action_net": "head.2"},
}
"""Names of the actor's layers in the library's policy and in ours."""


def actor_tensors(learner: str, policy: nn.Module) -> dict[str, Tensor]:
    """Return the actor's arrays of a library's policy under our names."""
    state, names = policy.state_dict(), OURS[learner]
    return {
        f"actor.{ours}.{key[len(theirs) + 1 :]}": value
        for theirs, ours in names.items()
        for key, value in state.items()
        if key.startswith(f"{theirs}.")
    }


def rebuild(tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> Trained:
    """Return the policy of an exported checkpoint.

    Raises:
        ValueError: It is of another learner, or its arrays do not fit its header.
    """
    learner = header.get("learner")
    if learner not in OURS:
        raise ValueError(f"checkpoint of learner {learner!r}; choose from {sorted(OURS)}")
    try:
        actor = (MlpActor if learner == "ppo" else LstmActor)(**header["sizes"])
        actor.load_state_dict(under("actor.", tensors))
        parts = scaling_of(tensors), tensors["calibration.inputs"]
    except (KeyError, TypeError, RuntimeError) as error:
        raise ValueError(f"checkpoint of another version of {learner}: {error}") from error
    spoilt = [name for name, value in tensors.items() if not torch.isfinite(value).all()]
    if spoilt:
        raise ValueError(f"the checkpoint holds numbers that are not finite in {spoilt}")
    return Trained(actor.requires_grad_(False), *parts, dict(header))
