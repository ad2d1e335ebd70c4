"""Methods that change what is kept, whatever mode of torch they are called in."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import torch

P = ParamSpec("P")
R = TypeVar("R")


def lasting(method: Callable[P, R]) -> Callable[P, R]:
    """Run a method without gradients and outside of inference mode: tensors made there could never be changed again."""

    @functools.wraps(method)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        with torch.inference_mode(False), torch.no_grad():
            return method(*args, **kwargs)

    return run
