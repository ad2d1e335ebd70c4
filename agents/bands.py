"""Which bodies a label means: a band, a band in which one parameter has one value, or bodies that change in mid-life.

"in_range", "mild", "hard"; "payload_kg=1.2" (the bodies of in_range, with that payload); "A-B-A".
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from typing import Any

from .episodes import make_arms
from .midlife import BAND as CHANGING
from .midlife import Leg, there_and_back

NUDGE_RAD = 1e-6
"""Step by which the heading of gravity is turned until a changed body is one of the test split: nothing to physics."""


def legs(world: Any, label: str, n_tasks: int, seed: int, episodes: int) -> list[Leg]:
    """Return the bodies of a label, leg by leg, all of the test split; most have one leg.

    Args:
        world: Environment that draws the bodies.
        label: What they are.
        n_tasks: Bodies.
        seed: Seed of the draw; 0 draws the published ones.
        episodes: Episodes of each leg.

    Raises:
        ValueError: The label is none.
    """
    draw = world.unwrapped.sample_tasks
    if label == CHANGING:
        return there_and_back(draw(n_tasks, band="in_range", split="test", seed=seed), episodes)
    if "=" not in label:
        return [Leg(draw(n_tasks, band=label, split="test", seed=seed), episodes)]
    name, _, text = label.partition("=")
    bodies = draw(n_tasks, band="in_range", split="test", seed=seed)
    value = _number(label, text)
    return [Leg([with_parameter(body, name, value, world.unwrapped.arm_cfg) for body in bodies], episodes)]


def check_labels(env_id: str, labels: Iterable[str], n_tasks: int, seed: int) -> None:
    """Refuse labels that are none on a world, before anything is run there.

    Args:
        env_id: Registered id of the world.
        labels: What `legs` is to be given, with as many bodies and this seed.
        n_tasks: Bodies.
        seed: Seed of the draw.

    Raises:
        ValueError: A label is none, or no body has its value.
    """
    world = make_arms(env_id, 1)
    try:
        for label in labels:
            legs(world, label, n_tasks, seed, 1)
    finally:
        world.close()


def _number(label: str, text: str) -> float:
    """Return the number of a label."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"band {label!r}: {text!r} is no finite number")
    return value


def with_parameter(body: Any, name: str, value: float, arm_cfg: Any) -> Any:
    """Return a body with one parameter set, on all its joints or links, and everything else as it was.

    Friction is given for a joint of friction scale 1, as the bands give it. Which split a body belongs to follows from
    its numbers, so gravity is turned by a millionth of a radian or several until the body is one for testing.

    Raises:
        ValueError: There is no such parameter, or no body has that value.
    """
    if name not in body.params:
        raise ValueError(f"unknown parameter {name!r}; choose from {sorted(body.params)}")
    old = body.params[name]
    if isinstance(old, tuple):
        scale = arm_cfg.friction_scale if name in ("viscous_nms", "coulomb_nm") else (1.0,) * len(old)
        new: Any = tuple(value * each for each in scale[: len(old)])
    else:
        new = value
    params = {**body.params, name: new}
    turned = "gravity_heading_rad" if name != "gravity_heading_rad" else "gravity_tilt_rad"
    for step in range(1000):
        changed = dataclasses.replace(body, params={**params, turned: params[turned] + step * NUDGE_RAD})
        if changed.split == "test":
            return changed
    raise RuntimeError(f"no body near {params} is of the test split")
