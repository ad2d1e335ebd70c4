"""Which of torch's layers have a counterpart on the chip, and how one stands in for the other."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from torch import nn

from .conv import CrossbarConv2d
from .layers import CrossbarLayer, CrossbarLinear
from .recurrent import CrossbarGRU, CrossbarLSTM

KINDS: dict[type[nn.Module], type[CrossbarLayer]] = {
    nn.Linear: CrossbarLinear,
    nn.Conv2d: CrossbarConv2d,
    nn.GRU: CrossbarGRU,
    nn.LSTM: CrossbarLSTM,
}
"""Torch's layers and what they become."""

_OPAQUE = (nn.MultiheadAttention, nn.TransformerEncoderLayer)
"""Modules that read the weights of the layers inside them instead of calling these; they stay in software, whole."""


def kind_of(layer: nn.Module) -> type[CrossbarLayer]:
    """Return what a layer becomes on the chip."""
    return next(kind for torchs, kind in KINDS.items() if isinstance(layer, torchs))


def find_layers(module: nn.Module) -> dict[str, nn.Module]:
    """Return the layers of a module that have a counterpart on the chip, by name; its own kind's where it is one."""
    if isinstance(module, tuple(KINDS)):
        return {type(module).__name__.lower(): module}
    found = {name: each for name, each in _open_modules(module) if isinstance(each, tuple(KINDS))}
    if not found:
        choices = ", ".join(f"nn.{each.__name__}" for each in KINDS)
        raise ValueError(f"{type(module).__name__} has none of the layers that a chip holds: {choices}")
    return found


def beside_layers(module: nn.Module) -> dict[str, nn.Module]:
    """Return the layers that have none and are called by the module itself, by name."""
    return {name: each for name, each in _open_modules(module) if name and not isinstance(each, tuple(KINDS))}


def _open_modules(module: nn.Module) -> list[tuple[str, nn.Module]]:
    closed = tuple(f"{name}." for name, each in module.named_modules() if isinstance(each, _OPAQUE))
    return [(name, each) for name, each in module.named_modules() if not (closed and f"{name}.".startswith(closed))]


def replaced(module: nn.Module, stand_ins: Mapping[int, nn.Module]) -> nn.Module:
    """Return a copy of a module with stand-ins for some of its layers, which are named by their `id`."""
    memo: dict[int, Any] = dict(stand_ins)
    return copy.deepcopy(module, memo)
