"""The checkpoints that come with the project, and how any other is taken in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from torch import Tensor

from .checkpoint import PRETRAINED, L, build_delta, load_of, restore, under
from .evaluation import Shipped


def shipped_path(env_id: str, control: str = "") -> Path:
    """Return the shipped checkpoint of a family of tasks.

    Args:
        env_id: Registered id, such as envs:PhaseArm/PlanarTrack-v0.
        control: "" for the learner, "random" for the control with random features.
    """
    name = env_id.rsplit("/", maxsplit=1)[-1].lower()
    return PRETRAINED / f"delta-{name}{'-' + control if control else ''}.safetensors"


def load_shipped(path: Path, env_id: str) -> Shipped:
    """Read a learner that was meta-trained on `env_id`.

    Raises:
        FileNotFoundError: No such file.
        ValueError: Not a checkpoint, or one of another arm.
    """
    learner, calibration = load_kind(path, env_id, "delta", build_delta)
    missing = sorted({"inputs", "head_range", "head_output"} - set(calibration))
    if missing:
        raise ValueError(f"{path} lacks calibration {missing}: it is of another version, or no round was finished")
    return Shipped(learner, calibration)


def load_kind(path: Path, env_id: str, kind: str, build: Callable[..., L]) -> tuple[L, dict[str, Tensor]]:
    """Read a learner of any kind that was meta-trained on `env_id`; return it and its calibration by name.

    Args:
        path: The checkpoint.
        env_id: Registered id.
        kind: What the checkpoint must say that it is of.
        build: As `checkpoint.restore` takes it.

    Raises:
        FileNotFoundError: No such file.
        ValueError: Not a checkpoint, one of another arm or kind, or of a run that did not converge.
    """
    tensors, header = load_of(path, env_id)
    learner = restore(tensors, header, kind, build).requires_grad_(False)
    calibration = under("calibration.", tensors)
    spoilt = [name for name, value in tensors.items() if not value.isfinite().all()]
    if spoilt:
        raise ValueError(f"{path} holds numbers that are not finite in {spoilt}; choose one of a run that converged")
    return learner, calibration
