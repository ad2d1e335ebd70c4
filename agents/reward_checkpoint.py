"""Checkpoints of the reward learner: what its header says, how it is built again, and which are shipped."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from .checkpoint import PRETRAINED, load_of, under
from .reward import RewardLearner
from .reward_sense import RewardCfg


class ShippedReward(NamedTuple):
    """A meta-trained learner, what its deployment is calibrated with, and what it cost."""

    learner: RewardLearner
    calibration: dict[str, Tensor]
    env_steps: int
    seed: int


def reward_header(learner: RewardLearner, env_id: str, **more: Any) -> dict[str, Any]:
    """Return the header that `restore_reward` needs."""
    return {"learner": "reward", "env": env_id, "network": dataclasses.asdict(learner.network), **more}


def restore_reward(tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> RewardLearner:
    """Build the learner of a checkpoint.

    Raises:
        ValueError: The checkpoint is another learner's, or its arrays do not fit its header.
    """
    if header.get("learner") != "reward":
        raise ValueError(f"checkpoint of learner {header.get('learner')!r}; choose from ['reward']")
    own = under("learner.", tensors)
    try:
        network: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in header["network"].items()}
        cfg = RewardCfg(**network)
        learner = RewardLearner(cfg, tuple(own["spread"].tolist()), torch.ones(cfg.n_joints))
        learner.load_state_dict(own)
    except (KeyError, TypeError, RuntimeError) as error:
        raise ValueError(f"checkpoint of another version of the learner: {error}") from error
    return learner


def shipped_reward_paths(env_id: str) -> list[Path]:
    """Return the shipped checkpoints of a family of tasks, one for each meta-seed, in their order."""
    name = env_id.rsplit("/", maxsplit=1)[-1].lower()
    found = PRETRAINED.glob(f"reward-{name}-*.safetensors")
    return sorted(found, key=lambda path: int(path.stem.rsplit("-", maxsplit=1)[-1]))


def load_reward(path: Path, env_id: str) -> ShippedReward:
    """Read a learner that was meta-trained on `env_id`.

    Raises:
        FileNotFoundError: No such file.
        ValueError: Not a checkpoint of this learner, or one of another family of tasks, or of a run that diverged.
    """
    tensors, header = load_of(path, env_id, "reward")
    learner = restore_reward(tensors, header).requires_grad_(False)
    calibration = under("calibration.", tensors)
    missing = sorted({"inputs", "head_range", "head_output"} - set(calibration))
    if missing:
        raise ValueError(f"{path} lacks calibration {missing}: it is of another version, or no round was finished")
    spoilt = [name for name, value in tensors.items() if not value.isfinite().all()]
    if spoilt:
        raise ValueError(f"{path} holds numbers that are not finite in {spoilt}; choose one of a run that converged")
    return ShippedReward(learner, calibration, int(header["env_steps"]), int(header["train"]["seed"]))
