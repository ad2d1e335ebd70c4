"""Adam's moments in a checkpoint: how they are kept, and how they are looked at before they are taken up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from .checkpoint import under

MOMENTS = ("exp_avg", "exp_avg_sq")


def adam_tensors(name: str, adam: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return the moments of every parameter as NAME.INDEX.KEY."""
    each = adam.state_dict()["state"].items()
    return {f"{name}.{index}.{key}": torch.as_tensor(value) for index, state in each for key, value in state.items()}


def adam_state(name: str, adam: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """Return what `adam.load_state_dict` takes, of the moments that `adam_tensors` named; the rates stay Adam's own.

    Raises:
        ValueError: They are not those of Adam's parameters.
    """
    state: dict[int, dict[str, Tensor]] = {}
    for place, value in under(f"{name}.", tensors).items():
        index, _, key = place.partition(".")
        state.setdefault(int(index), {})[key] = value
    parameters = [each for group in adam.param_groups for each in group["params"]]
    for index, kept in state.items():
        shapes = {key: tuple(value.shape) for key, value in kept.items()}
        shape = tuple(parameters[index].shape) if index < len(parameters) else None
        if shapes != {"step": (), **dict.fromkeys(MOMENTS, shape)}:
            raise ValueError(f"{name} {index} of the checkpoint has {shapes}; its parameter has shape {shape}")
    return {**adam.state_dict(), "state": state}
