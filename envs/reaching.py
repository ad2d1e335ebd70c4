"""The reaching world: goals, what the arm senses, the reward and the error of an episode, for n arms at once.

Both environments drive it, so that one arm alone and one arm among many see and earn the same. Places are told from the
first joint, along the axes of the arm's workspace: D of them.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .kinematics import Links, first_joint_m, links_of, tip_position
from .models import ArmCfg
from .tasks import Task

Array = NDArray[Any]


class ReachObservation(NamedTuple):
    """What an arm senses and where its tip is to go: slices of an observation."""

    q_rad: Any
    """Joint positions, (..., J)."""
    qd_rad_s: Any
    """Joint velocities, (..., J)."""
    goal_m: Any
    """Where the tip is to go, (..., D)."""
    tip_m: Any
    """Where a camera sees it, (..., D)."""
    prev_action: Any
    """The action before, (..., J)."""


@dataclass(frozen=True)
class ReachCfg:
    """An episode of reaching, and what it pays."""

    n_steps: int = 50
    """Control steps of an episode: 2 s."""
    dt_s: float = 0.04
    """Time of a control step."""
    frame_skip: int = 10
    """Physics steps of .004 s in a control step."""
    start_share: float = 0.5
    """Share of the joints' range, about its middle, that an episode begins in; the arm is at rest then."""
    success_m: float = 0.05
    """How near the tip has to stay for success."""
    tail_steps: int = 12
    """Control steps at the end over which the tip's distance is judged: .5 s."""
    near_m: float = 0.1
    """Distance at which the reward for being near falls to 1 / e."""
    action_cost: float = 0.05
    """Cost of the full action on every joint, per step."""
    camera_noise_m: float = 0.002
    """Standard deviation of what the camera says of each coordinate (an assumption)."""
    camera_resolution_m: float = 0.001
    """What it rounds to (an assumption)."""
    velocity_bound_rad_s: float = 30.0
    """Where observed velocities are cut."""


REACH = ReachCfg()


def reaching_arm(arm: ArmCfg, cfg: ReachCfg = REACH, *, wired: bool = True) -> ArmCfg:
    """Return an arm as this world has it: its control steps are longer, its motors may be miswired."""
    return replace(arm, dt_s=cfg.dt_s, frame_skip=cfg.frame_skip, wired=wired)


def observation_bounds(arm: ArmCfg, cfg: ReachCfg) -> tuple[Array, Array]:
    """Return the lowest and highest observation, (3 J + 2 D,) float32."""
    bound, coordinates = np.ones(arm.n_joints), np.ones(len(arm.workspace.axes))
    nominal = links_of(arm, [Task.nominal(arm.name)])
    lengths = [np.linalg.norm(vector) for vector in (*nominal.offset_m[:, :, 0], nominal.tip_m[:, 0])]
    far = 1.2 * sum(lengths) * coordinates  # links in range are 1.1 times as long at most
    speed = cfg.velocity_bound_rad_s * bound
    low, high = np.array(arm.q_min_rad) - np.pi, np.array(arm.q_max_rad) + np.pi
    lows, highs = (low, -speed, -far, -far, -bound), (high, speed, far, far, bound)
    return np.concatenate(lows).astype(np.float32), np.concatenate(highs).astype(np.float32)


class Reaching:
    """Goals, sensors and scores of n arms; the arms' physics is elsewhere."""

    error = "tip_m"
    """The figure of an episode in its last info."""

    def __init__(self, arm: ArmCfg, n_arms: int, cfg: ReachCfg = REACH) -> None:
        """Build the world of `n_arms` arms; every arm has to `begin` before it is observed."""
        self.arm, self.cfg, self._rows = arm, cfg, np.arange(n_arms)
        self._axes, n_joints = list(arm.workspace.axes), arm.n_joints
        nominal = links_of(arm, [Task.nominal(arm.name)])
        self._links: Links = nominal.of(np.zeros(n_arms, dtype=np.int64))
        self._goal, self._tip = np.zeros((n_arms, len(self._axes))), np.zeros((n_arms, len(self._axes)))
        self._noise = np.zeros((n_arms, cfg.n_steps + 1, n_joints + len(self._axes)))
        self._action = np.zeros((n_arms, n_joints))
        self._tail, self._farthest, self._return = np.zeros(n_arms), np.zeros(n_arms), np.zeros(n_arms)
        self.step = np.zeros(n_arms, dtype=np.int64)
        self.low, self.high = observation_bounds(arm, cfg)

    def begin(self, ids: Array, generators: Sequence[Any], tasks: Sequence[Task]) -> tuple[Array, Array]:
        """Begin episodes; return the positions and velocities (n, J) they start with.

        An arm's numbers all come from its own generator, the same count for every episode: whatever the actions
        were, equal seeds give equal goals, starts and noise in later episodes too.

        Args:
            ids: Numbers of the arms, (n,).
            generators: Their generators, n.
            tasks: Their bodies, n.
        """
        uniform = np.empty((len(ids), 3 + self.arm.n_joints))
        noise = np.empty((len(ids), *self._noise.shape[1:]))
        for generator, numbers, normals in zip(generators, uniform, noise, strict=True):
            generator.random(out=numbers)
            generator.standard_normal(out=normals)
        self._goal[ids] = self.arm.workspace.places(uniform[:, :3])
        scale = np.repeat(
            [self.arm.velocity_noise_rad_s, self.cfg.camera_noise_m], [self.arm.n_joints, len(self._axes)]
        )
        self._noise[ids] = scale * noise
        q_rad = self._starts(uniform[:, 3:])
        links = links_of(self.arm, tasks)
        self._links.offset_m[..., ids], self._links.tip_m[..., ids] = links.offset_m, links.tip_m
        self._tip[ids] = tip_position(links, q_rad)[:, self._axes]
        self._action[ids] = 0.0
        for total in (self._tail, self._farthest, self._return, self.step):
            total[ids] = 0
        return q_rad, np.zeros_like(q_rad)

    def _starts(self, uniform: Array) -> Array:
        """Return positions (n, J) in the middle share of the joints' range."""
        low, high = np.array(self.arm.q_min_rad), np.array(self.arm.q_max_rad)
        return 0.5 * (low + high) + self.cfg.start_share * (high - low) * (uniform - 0.5)

    def observe(self, q_rad: Array, qd_rad_s: Array) -> Array:
        """Return the observations (n, 3 J + 2 D) of all arms as a fresh float32 array within bounds."""
        grid, pixel, n_joints = self.arm.encoder_resolution_rad, self.cfg.camera_resolution_m, self.arm.n_joints
        noise = self._noise[self._rows, self.step]
        tip = np.round((self._tip + noise[:, n_joints:]) / pixel) * pixel
        parts = (np.round(q_rad / grid) * grid, qd_rad_s + noise[:, :n_joints], self._goal, tip, self._action)
        seen = np.empty((len(self._rows), len(self.low)), dtype=np.float32)
        np.concatenate(parts, axis=1, out=seen, casting="same_kind")
        return np.clip(seen, self.low, self.high, out=seen)

    def unpack(self, obs: Any) -> ReachObservation:
        """Return the parts of observations (..., 3 J + 2 D); numpy arrays and torch tensors alike.

        Raises:
            ValueError: They are not of this world.
        """
        if obs.shape[-1] != len(self.low):
            raise ValueError(f"an observation of reaching has {len(self.low)} numbers, not {obs.shape[-1]}")
        n_joints, n_axes = self.arm.n_joints, len(self._axes)
        ends = np.cumsum([0, n_joints, n_joints, n_axes, n_axes, n_joints]).tolist()
        return ReachObservation(*(obs[..., a:b] for a, b in itertools.pairwise(ends)))

    def advance(self, q_rad: Array, action: Array) -> tuple[Array, dict[str, Array]]:
        """Count one control step that led to true positions (n, J); return the rewards (n,) and what info shows.

        The reward is minus the tip's true distance in m, plus exp(-(distance / near)^2), between 0 and 1, less the
        mean square of the action times its cost.
        """
        self.step += 1
        self._action[...] = action
        self._tip[...] = tip_position(self._links, q_rad)[:, self._axes]
        distance = np.sqrt(sum((self._tip - self._goal)[:, k] ** 2 for k in range(len(self._axes))))
        terms = {
            "tip_distance_m": distance,
            "reward_distance": -distance,
            "reward_near": np.exp(-(distance**2) / self.cfg.near_m**2),
            "reward_action": -self.cfg.action_cost
            * sum(action[:, j] ** 2 for j in range(self.arm.n_joints))
            / self.arm.n_joints,
        }
        reward = terms["reward_distance"] + terms["reward_near"] + terms["reward_action"]
        late = self.step > self.cfg.n_steps - self.cfg.tail_steps
        self._tail += np.where(late, distance, 0.0)
        self._farthest = np.where(late, np.maximum(self._farthest, distance), self._farthest)
        self._return += reward
        return reward, terms

    @property
    def done(self) -> Array:
        """Which episodes have run their time, (n,) bool; none ends sooner."""
        return self.step >= self.cfg.n_steps

    def summary(self) -> dict[str, Any]:
        """Return the scores of finished episodes, each (n,): what the last step's info adds."""
        return {
            "success": self._farthest < self.cfg.success_m,
            "tip_m": self._tail / self.cfg.tail_steps,
            "episode": {"r": self._return.copy(), "l": self.step.copy()},
        }

    def goal_m(self) -> Array:
        """Return the goals (n, D)."""
        return self._goal.copy()

    def marks(self) -> dict[str, Any]:
        """Return what a picture of the first arm shows beside the arm: the goal and the tip."""
        return {"goal_m": self._in_world(self._goal[0]), "tip_m": self._in_world(self._tip[0])}

    def _in_world(self, place_m: Array) -> Array:
        """Return a place of the workspace as a point of the world, (3,)."""
        point = np.zeros(3)
        point[self._axes] = place_m
        if len(self._axes) == 2:  # in the plane in which the nominal tip moves
            point[1] = tip_position(self._links.of([0]), np.zeros((1, self.arm.n_joints)))[0, 1]
        return point + first_joint_m(self.arm)
