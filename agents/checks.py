"""Refusing settings that cannot be: every message names the field, the bad value and the good ones."""

from __future__ import annotations

from typing import Any


def check_at_least(least: float, cfg: Any, *names: str) -> None:
    """Refuse a configuration some of whose fields are too small.

    Raises:
        ValueError: One of them is below `least`.
    """
    for name in names:
        if getattr(cfg, name) < least:
            raise ValueError(f"{name} must be at least {least}, got {getattr(cfg, name)}")


def check_above_zero(cfg: Any, *names: str) -> None:
    """Refuse a configuration some of whose fields are not positive.

    Raises:
        ValueError: One of them is zero, below, or no number.
    """
    for name in names:
        if not getattr(cfg, name) > 0:
            raise ValueError(f"{name} must be positive, got {getattr(cfg, name)}")
