"""The varied dynamics: each parameter on its own line, how bodies are drawn, and in which band a body lies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from .models import ArmCfg

Array = NDArray[Any]
Range = tuple[float, float]

BANDS = ("in_range", "mild", "hard")
STARRED = ("payload_kg", "viscous_nms", "coulomb_nm", "actuator_gain")  # one of these leaves its range in mild, hard
OUTSIDE = len(BANDS)  # the level of a value that fits no band; the other levels are indices into BANDS
DECIMALS = 6  # parameters are rounded to this, so that JSON gives the same body back
MAX_DELAY_STEPS = 2  # what the histories of the MJCF files hold, also at .04 s a step
WIRING = ("motor_reversed", "motor_swap")  # parameters that a body has in worlds with miswired motors alone
DAMAGE_PROBABILITY = 0.3  # of one damaged joint, in range
DAMAGE_RANGES: tuple[Range, ...] = ((0.25, 0.45), (0.20, 0.25), (0.15, 0.20))  # the gain of that joint in each band
POOL_SIZE = 512  # vectors of link lengths that sampled bodies share
_EDGE = 10.0**-DECIMALS  # bands are told apart this closely


@dataclass(frozen=True)
class Parameter:
    """One varied quantity of a body."""

    name: str
    """Name with its unit, the key in Task.params."""
    per: Literal["arm", "joint", "link"]
    """One number for the arm, or a list with one a joint or link."""
    nominal: float
    """The value of the nominal arm."""
    bands: tuple[Range, ...]
    """The range in each band; one alone where the parameter never leaves its range."""
    smallest: float = 0.0
    """What no body may fall below."""
    scale: tuple[float, ...] = (1.0,)
    """Factor of each joint on the ranges."""
    whole: bool = False
    """Whether it takes whole numbers alone, those of its range."""

    def size(self, cfg: ArmCfg) -> int:
        """Return how many numbers the parameter has on this arm."""
        return 1 if self.per == "arm" else cfg.n_joints

    def default(self, cfg: ArmCfg) -> float | int | tuple[float, ...]:
        """Return the nominal value as a task keeps it."""
        return self.plain([self.nominal] * self.size(cfg))

    def plain(self, row: Sequence[float]) -> float | int | tuple[float, ...]:
        """Return a row of numbers as a task keeps it."""
        values = tuple(int(value) for value in row) if self.whole else tuple(row)
        return values[0] if self.per == "arm" else values


@lru_cache(maxsize=16)
def parameters(cfg: ArmCfg) -> tuple[Parameter, ...]:
    """Return the varied parameters of an arm, in the order in which they are drawn; the wiring last, if it varies."""
    payload, worn = cfg.payload_ranges_kg, cfg.friction_scale
    table = (
        # adds: mass of a ball at the tip; planar 0-1.5 / 1.5-2 / 2-3 kg, scorbot 0-1 / 1-1.5 / 1.5-2.5 kg
        Parameter("payload_kg", "arm", 0.0, payload),
        # adds: viscous friction of the joint, N m s, x its friction_scale; beyond its range on all joints at once
        Parameter("viscous_nms", "joint", 0.0, ((0.0, 1.0), (1.0, 1.5), (1.5, 2.5)), scale=worn),
        # adds: Coulomb friction of the joint, N m, x its friction_scale; beyond its range on all joints at once
        Parameter("coulomb_nm", "joint", 0.0, ((0.0, 0.6), (0.6, 0.9), (0.9, 1.5)), scale=worn),
        # scales: torque of the motor; one joint may be damaged (DAMAGE_RANGES), beyond its range it is that joint alone
        Parameter("actuator_gain", "joint", 1.0, ((0.5, 1.1),), smallest=0.05),
        # scales: mass and inertia of the link
        Parameter("link_mass_scale", "link", 1.0, ((0.8, 1.2),), smallest=0.05),
        # scales: length of the link, at equal mass; sampled bodies take one of the POOL_SIZE vectors of length_pool
        Parameter("link_length_scale", "link", 1.0, ((0.9, 1.1),), smallest=0.05),
        # sets: angle between gravity and the vertical, 0 to 10 degrees
        Parameter("gravity_tilt_rad", "arm", 0.0, ((0.0, 0.174533),)),
        # sets: direction about the vertical into which gravity leans
        Parameter("gravity_heading_rad", "arm", 0.0, ((0.0, 6.283185),)),
        # sets: whole control steps between action and torque, 0, 1 or 2
        Parameter("action_delay_steps", "arm", 0, ((0, MAX_DELAY_STEPS),), whole=True),
    )
    return (*table, *_wiring(cfg)) if cfg.wired else table


def _wiring(cfg: ArmCfg) -> tuple[Parameter, ...]:
    return (
        # sets: 1 where the joint's motor turns the wrong way, each with probability .5
        Parameter("motor_reversed", "joint", 0, ((0, 1),), whole=True),
        # sets: which motor has changed places with the next one (the command of each drives the other), -1 none does;
        # with probability .5 one of the pairs
        Parameter("motor_swap", "arm", -1, ((-1, cfg.n_joints - 2),), smallest=-1, whole=True),
    )


def known_band(band: str) -> str:
    """Return the band.

    Raises:
        ValueError: There is none of that name.
    """
    if band not in BANDS:
        raise ValueError(f"unknown band {band!r}; choose from {list(BANDS)}")
    return band


@lru_cache(maxsize=16)
def n_uniforms(cfg: ArmCfg) -> int:
    """Return how many uniform numbers make a body: always the same count, whatever the band."""
    return 4 + sum(parameter.size(cfg) for parameter in parameters(cfg))


@lru_cache(maxsize=16)
def length_pool(n_joints: int) -> Array:
    """Return the (POOL_SIZE, J) vectors of length scales that sampled bodies share.

    The additive recurrence of M. Roberts, "The unreasonable effectiveness of quasirandom sequences" (2018): multiples
    of powers of 1 / phi, where phi^(J + 1) = phi + 1, fill the cube evenly and take no random numbers.
    """
    phi = 2.0
    for _ in range(64):
        phi = (1.0 + phi) ** (1.0 / (n_joints + 1))
    steps = phi ** -np.arange(1.0, n_joints + 1)
    unit = (0.5 + np.arange(POOL_SIZE)[:, None] * steps) % 1.0
    pool = np.round(0.9 + 0.2 * unit, 4)
    pool.flags.writeable = False  # it is shared
    return pool


def draw(cfg: ArmCfg, band: str, uniform: Array) -> dict[str, Array]:
    """Return the parameters of n bodies, made of uniform numbers (n, n_uniforms(cfg)); shapes (n, size).

    In mild and hard exactly one starred parameter, each as often as another, lies in its outer range.

    Raises:
        ValueError: The band is unknown.
    """
    level = BANDS.index(known_band(band))
    star = (uniform[:, 0] * len(STARRED)).astype(int) if level else np.full(len(uniform), -1)
    drawn, column = {}, 4
    for parameter in parameters(cfg):
        unit = uniform[:, column : column + parameter.size(cfg)]
        column += parameter.size(cfg)
        outer = parameter.name in STARRED and star == STARRED.index(parameter.name)
        drawn[parameter.name] = _values(cfg, parameter, level, unit, np.broadcast_to(outer, len(unit)))
    _damage(drawn["actuator_gain"], level, star == STARRED.index("actuator_gain"), uniform[:, 1:4])
    return drawn


def _values(cfg: ArmCfg, parameter: Parameter, level: int, unit: Array, outer: Array) -> Array:
    """Return one parameter's values (n, size): in range, but in the band of `level` where `outer` (n,) says so."""
    if parameter.name == "link_length_scale":
        return length_pool(cfg.n_joints)[(unit[:, 0] * POOL_SIZE).astype(int)]
    low, high = parameter.bands[0]
    if parameter.name == "motor_swap":
        return np.where(unit < 0.5, np.floor(2.0 * unit * (high + 1)), -1.0) if high >= 0 else np.full_like(unit, -1.0)
    if parameter.whole:
        return low + np.floor(unit * (high - low + 1))
    scale = np.asarray(parameter.scale)
    values = np.round((low + (high - low) * unit) * scale, DECIMALS)
    if len(parameter.bands) > 1 and outer.any():
        low, high = parameter.bands[level]
        beyond = np.round((low + (high - low) * unit) * scale, DECIMALS)
        values = np.where(outer[:, None], np.maximum(beyond, low * scale + 2 * _EDGE), values)
    return np.round(values, DECIMALS)


def _damage(gain: Array, level: int, outer: Array, uniform: Array) -> None:
    """Weaken one joint of some bodies, in place: of every body in `outer`, of a share of the others."""
    whether, where, depth = uniform.T
    low, high = np.array(DAMAGE_RANGES)[np.where(outer, level, 0)].T
    weak = np.maximum(np.round(high - (high - low) * depth, DECIMALS), low)
    weak = np.where(outer, np.minimum(weak, high - 2 * _EDGE), weak)
    rows = np.flatnonzero(outer | (whether < DAMAGE_PROBABILITY))
    gain[rows, (where * gain.shape[1]).astype(int)[rows]] = np.round(weak, DECIMALS)[rows]


def bands_of(cfg: ArmCfg, params: Mapping[str, Array]) -> list[str]:
    """Return the band of each of n bodies, or "outside" if none fits.

    Args:
        cfg: The arm.
        params: Every parameter, (n, size).
    """
    levels = np.stack([_levels(parameter, params[parameter.name]) for parameter in parameters(cfg)])  # (P, n)
    beyond = (levels > 0).sum(axis=0)
    level = np.where(beyond == 0, 0, np.where(beyond == 1, levels.max(axis=0), OUTSIDE))
    return [(*BANDS, "outside")[k] for k in level]


def _levels(parameter: Parameter, values: Array) -> Array:
    """Return the level (n,) of one parameter's values (n, size): that of the joint farthest out."""
    if parameter.name == "actuator_gain":
        return _gain_levels(values, parameter.bands[0])
    values = values / np.asarray(parameter.scale)
    edge = _EDGE / min(parameter.scale)
    tops = np.array([high for _, high in parameter.bands])
    level = (values.max(axis=1)[:, None] > tops + edge).sum(axis=1)
    level = np.where(level == len(tops), OUTSIDE, level)
    return np.where(values.min(axis=1) < parameter.bands[0][0] - edge, OUTSIDE, level)


def _gain_levels(gain: Array, healthy: Range) -> Array:
    """Return the level (n,) of gains (n, J): all joints healthy but one at most, and that one tells."""
    weakest, others = gain.min(axis=1), np.sort(gain, axis=1)[:, 1:]
    sound = (others >= healthy[0] - _EDGE).all(axis=1) & (gain.max(axis=1) <= healthy[1] + _EDGE)
    level = np.full(len(gain), OUTSIDE)
    for number, (low, high) in reversed(list(enumerate(DAMAGE_RANGES))):
        level[(weakest >= low - _EDGE * (number == len(BANDS) - 1)) & (weakest <= high + _EDGE * (number == 0))] = (
            number
        )
    level[weakest >= healthy[0] - _EDGE] = 0
    return np.where(sound, level, OUTSIDE)
