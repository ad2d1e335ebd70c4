"""Refusing what cannot be: every message names the bad value and the good ones."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from typing import Any

from torch import Tensor


def check_tensor(name: str, value: Any) -> None:
    """Refuse what is no tensor, as a list that was meant as one."""
    if not isinstance(value, Tensor):
        raise ValueError(f"{name} must be a torch.Tensor, got a {type(value).__name__}: {value!r}")


def check_floats(name: str, value: Any) -> None:
    """Refuse what is no tensor of real numbers: bool, whole and complex numbers are mostly meant otherwise."""
    check_tensor(name, value)
    if not value.is_floating_point():
        raise ValueError(f"{name} must hold floating-point numbers, got {value.dtype}")


def check_kind(name: str, value: Any, kind: type) -> None:
    """Refuse what is not of a class."""
    if not isinstance(value, kind):
        raise ValueError(f"{name} must be a {kind.__name__}, got a {type(value).__name__}: {value!r}")


def check_whole(name: str, value: Any, least: int = 1) -> None:
    """Refuse what is no whole number, or too small a one."""
    if not isinstance(value, Integral) or isinstance(value, bool) or value < least:
        raise ValueError(f"{name} must be a whole number, {least} or more, got {value!r}")


def check_one_of(name: str, value: Any, choices: Sequence[Any]) -> None:
    """Refuse what is not among the choices."""
    if value not in choices:
        raise ValueError(f"unknown {name} {value!r}; choose from {list(choices)}")


def is_number(value: Any) -> bool:
    """Whether a value is a real number and neither NaN nor infinite."""
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def check_positive(name: str, value: Any) -> None:
    """Refuse what is no positive, finite number, nor None."""
    if value is not None and not (is_number(value) and value > 0):
        raise ValueError(f"{name} must be positive and finite, got {value!r}")


def check_positive_each(name: str, value: Any) -> None:
    """Refuse what is no positive, finite number, nor a tuple of such, nor None."""
    values = value if isinstance(value, tuple) else () if value is None else (value,)
    bad = [each for each in values if not (is_number(each) and each > 0)]
    if bad or value == ():
        raise ValueError(f"{name} must be positive and finite, one number or a tuple of them, got {bad or value!r}")


def check_entries(what: str, state: Any, wanted: Sequence[str]) -> None:
    """Refuse a saved state that is none, or that lacks what it must hold."""
    check_kind(f"the state of {what}", state, Mapping)
    if missing := sorted(set(wanted) - set(state)):
        raise ValueError(f"the state of {what} lacks {missing}; it has {sorted(wanted)}")


def check_shapes(what: str, state: Any, mine: Mapping[str, Tensor]) -> None:
    """Refuse the tensors of a saved state where they are not those that this object keeps, or of other shapes."""
    check_kind(f"the state of {what}", state, Mapping)
    theirs = {name: tuple(each.shape) if isinstance(each, Tensor) else each for name, each in state.items()}
    wanted = {name: tuple(each.shape) for name, each in mine.items()}
    if theirs != wanted:
        raise ValueError(f"the state has {what} of shape {theirs}, this crossbar {wanted}")
