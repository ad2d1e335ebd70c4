"""The tracking world: references, what the arm senses, the reward and the error of an episode, for n arms at once.

Both environments drive it, so that one arm alone and one arm among many see and earn the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .models import ArmCfg, Observation
from .tasks import Task

Array = NDArray[Any]


@dataclass(frozen=True)
class TrackCfg:
    """An episode of tracking, and what it pays."""

    n_steps: int = 100
    """Control steps of an episode: 2 s."""
    n_sines: int = 3
    """Sines that a joint's reference is the sum of, about an offset."""
    frequency_hz: tuple[float, float] = (0.15, 0.6)
    """Range of their frequencies."""
    amplitude_max_rad: float = 0.45
    """Largest amplitude of one of them; the least is 0."""
    limit_margin_rad: float = 0.1
    """How far a reference stays away from the joint limits."""
    success_rad: float = 0.1
    """The error below which an episode's end counts as success."""
    tail_steps: int = 25
    """Control steps at the end over which success is judged: .5 s."""
    reward_width_rad: float = 0.2
    """Error at which the tracking reward falls to 1 / e."""
    action_cost: float = 0.05
    """Cost of the full action on every joint, per step."""
    velocity_bound_rad_s: float = 30.0
    """Where observed velocities are cut."""

    @property
    def n_uniforms_per_joint(self) -> int:
        """How many uniform numbers make one joint's reference."""
        return 1 + 3 * self.n_sines


TRACK = TrackCfg()
AT_ONCE = 64  # arms whose references are worked out at once: the arrays of more fall out of the processor's cache


def reference(arm: ArmCfg, cfg: TrackCfg, uniform: Array) -> Array:
    """Return positions, velocities and accelerations of references, (n, 3, T + 1, J).

    Args:
        arm: The arm, for its limits.
        cfg: The episode.
        uniform: Uniform numbers (n, cfg.n_uniforms_per_joint, J).
    """
    amplitude, frequency, phase = np.moveaxis(uniform[:, 1:].reshape(-1, 3, cfg.n_sines, arm.n_joints), 1, 0)
    amplitude = amplitude * cfg.amplitude_max_rad  # (n, sines, J), like the other two
    low, high = cfg.frequency_hz
    rate, start = 2.0 * np.pi * (low + (high - low) * frequency), 2.0 * np.pi * phase
    room = cfg.limit_margin_rad + _total(amplitude)  # (n, J)
    floor, ceiling = np.array(arm.q_min_rad) + room, np.array(arm.q_max_rad) - room
    goal = np.zeros((3, *room.shape, cfg.n_steps + 1))  # (3, n, J, T + 1): time last, for speed
    goal[0] = (floor + (ceiling - floor) * uniform[:, 0])[..., None]
    for k in range(cfg.n_sines):
        speed = rate[:, k, :, None]
        sine, cosine = _waves(speed * arm.dt_s, start[:, k, :, None], cfg.n_steps + 1)
        sine *= amplitude[:, k, :, None]
        cosine *= amplitude[:, k, :, None] * speed
        goal[0] += sine
        goal[1] += cosine
        goal[2] -= speed * speed * sine
    return np.moveaxis(goal, (0, 3), (1, 2))


def _waves(step_rad: Array, phase_rad: Array, count: int, chunk: int = 10) -> tuple[Array, Array]:
    """Return sine and cosine (n, J, count) at `count` equal steps from the phase, both (n, J, 1).

    By the addition theorem from a coarse and a fine row of angles: a fifth of the sines, which would else cost more
    than everything else at a reset.
    """
    coarse, fine = phase_rad + step_rad * np.arange(0, count, chunk), step_rad * np.arange(chunk)
    (sa, ca), (sb, cb) = ((np.sin(angle), np.cos(angle)) for angle in (coarse[..., None], fine[..., None, :]))
    sine, cosine = (wave.reshape(*step_rad.shape[:2], -1) for wave in (sa * cb + ca * sb, ca * cb - sa * sb))
    return sine[..., :count], cosine[..., :count]


def _total(parts: Array) -> Array:
    """Return the sum over axis 1 in a fixed order, so that n does not change the rounding."""
    total = parts[:, 0]
    for number in range(1, parts.shape[1]):
        total = total + parts[:, number]
    return total


def observation_bounds(arm: ArmCfg, cfg: TrackCfg) -> tuple[Array, Array]:
    """Return the lowest and highest observation, (6 J,) float32."""
    velocity = cfg.n_sines * cfg.amplitude_max_rad * 2.0 * np.pi * cfg.frequency_hz[1]
    acceleration = velocity * 2.0 * np.pi * cfg.frequency_hz[1]
    low, high = np.array(arm.q_min_rad), np.array(arm.q_max_rad)
    bound = np.ones(arm.n_joints)
    speed = cfg.velocity_bound_rad_s * bound
    lows = Observation(low - np.pi, -speed, low, -velocity * bound, -acceleration * bound, -bound)
    highs = Observation(high + np.pi, speed, high, velocity * bound, acceleration * bound, bound)
    return np.concatenate(lows).astype(np.float32), np.concatenate(highs).astype(np.float32)


class Tracking:
    """References, sensors and scores of n arms; the arms' physics is elsewhere."""

    error = "rmse_rad"
    """The figure of an episode in its last info."""

    def __init__(self, arm: ArmCfg, n_arms: int, cfg: TrackCfg = TRACK) -> None:
        """Build the world of `n_arms` arms; every arm has to `begin` before it is observed."""
        self.arm, self.cfg, self._rows = arm, cfg, np.arange(n_arms)
        self._reference = np.zeros((n_arms, cfg.n_steps + 1, 3, arm.n_joints))  # what one step reads lies together
        self._noise = np.zeros((n_arms, cfg.n_steps + 1, arm.n_joints))
        self._action = np.zeros((n_arms, arm.n_joints))
        self._squares, self._tail, self._return = np.zeros(n_arms), np.zeros(n_arms), np.zeros(n_arms)
        self.step = np.zeros(n_arms, dtype=np.int64)
        self.low, self.high = observation_bounds(arm, cfg)

    def begin(
        self, ids: Array, generators: Sequence[np.random.Generator], tasks: Sequence[Task] = ()
    ) -> tuple[Array, Array]:
        """Begin episodes; return the positions and velocities (n, J) they start with, those of the references.

        An arm's numbers all come from its own generator, the same count for every episode: whatever the actions
        were, equal seeds give equal references and noise in later episodes too.

        Args:
            ids: Numbers of the arms, (n,).
            generators: Their generators, n.
            tasks: Their bodies, which no reference depends on.
        """
        uniform = np.empty((len(ids), self.cfg.n_uniforms_per_joint, self.arm.n_joints))
        noise = np.empty((len(ids), *self._noise.shape[1:]))
        for generator, numbers, normals in zip(generators, uniform, noise, strict=True):
            generator.random(out=numbers)
            generator.standard_normal(out=normals)
        for first in range(0, len(ids), AT_ONCE):
            some = slice(first, first + AT_ONCE)
            self._reference[ids[some]] = np.moveaxis(reference(self.arm, self.cfg, uniform[some]), 1, 2)
        self._noise[ids] = self.arm.velocity_noise_rad_s * noise
        self._action[ids] = 0.0
        for total in (self._squares, self._tail, self._return, self.step):
            total[ids] = 0
        return self._reference[ids, 0, 0], self._reference[ids, 0, 1]

    def reference_position(self) -> Array:
        """Return where each arm should be now, (n, J)."""
        return self._reference[self._rows, self.step, 0]

    def marks(self) -> dict[str, Any]:
        """Return what a picture of the first arm shows beside the arm: the reference as a ghost."""
        return {"ghost_q": self.reference_position()[0]}

    def unpack(self, obs: Any) -> Observation:
        """Return the parts of observations (..., 6 J); numpy arrays and torch tensors alike."""
        return self.arm.unpack(obs)

    def observe(self, q_rad: Array, qd_rad_s: Array) -> Array:
        """Return the observations (n, 6 J) of all arms as a fresh float32 array within bounds."""
        grid = self.arm.encoder_resolution_rad
        goal = self._reference[self._rows, self.step].reshape(len(self._rows), -1)
        noisy = qd_rad_s + self._noise[self._rows, self.step]
        seen = np.empty((len(self._rows), len(self.low)), dtype=np.float32)
        parts = (np.round(q_rad / grid) * grid, noisy, goal, self._action)
        np.concatenate(parts, axis=1, out=seen, casting="same_kind")
        return np.clip(seen, self.low, self.high, out=seen)

    def advance(self, q_rad: Array, action: Array) -> tuple[Array, dict[str, Array]]:
        """Count one control step that led to true positions (n, J); return the rewards (n,) and what info shows.

        The reward is exp(-(error / width)^2), between 0 and 1, less the mean square of the action times its cost.
        """
        self.step += 1
        self._action[...] = action
        square = _total((q_rad - self.reference_position()) ** 2)
        terms = {
            "joint_error_rad": np.sqrt(square),
            "reward_tracking": np.exp(-square / self.cfg.reward_width_rad**2),
            "reward_action": -self.cfg.action_cost * _total(action * action) / self.arm.n_joints,
        }
        reward = terms["reward_tracking"] + terms["reward_action"]
        self._squares += square
        self._tail += np.where(self.step > self.cfg.n_steps - self.cfg.tail_steps, square, 0.0)
        self._return += reward
        return reward, terms

    @property
    def done(self) -> Array:
        """Which episodes have run their time, (n,) bool; none ends sooner."""
        return self.step >= self.cfg.n_steps

    def summary(self) -> dict[str, Any]:
        """Return the scores of finished episodes, each (n,): what the last step's info adds."""
        return {
            "success": np.sqrt(self._tail / self.cfg.tail_steps) < self.cfg.success_rad,
            "rmse_rad": np.sqrt(self._squares / self.cfg.n_steps),
            "episode": {"r": self._return.copy(), "l": self.step.copy()},
        }


def checked_action(action: Any, shape: tuple[int, ...]) -> Array:
    """Return an action as float64, clipped to [-1, 1].

    Raises:
        ValueError: Its shape is wrong, or a number in it is not finite.
    """
    values = np.asarray(action, dtype=np.float64)
    if values.shape != shape:
        raise ValueError(f"actions must have shape {shape}, not {values.shape}")
    if not np.isfinite(values).all():
        raise ValueError(f"actions must be finite, not {values[~np.isfinite(values)][0]}")
    return np.clip(values, -1.0, 1.0)
