"""Where the tips of many bodies are, how they move with the joints, and which joint angles bring them to a place.

Places are told from the first joint. Sums are taken element by element, so that one arm among many has the numbers
that it has alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import mujoco
import numpy as np
from numpy.typing import NDArray

from .bodies import link_ids
from .models import ArmCfg, nominal_model, shape_fields
from .tasks import Task, as_tuple

Array = NDArray[Any]


class Links(NamedTuple):
    """The serial chains of N bodies; vectors come first, (3, N)."""

    rotation: Array  # (J, 3, 3) orientation of a link in its parent at angle zero, the same for every body
    axis: Array  # (J, 3) joint axes in the link, the same for every body
    offset_m: Array  # (J, 3, N) place of a link in its parent; the first is the origin
    tip_m: Array  # (3, N) place of the tip in the last link

    def of(self, ids: Any) -> Links:
        """Return the chains of some bodies."""
        return self._replace(offset_m=self.offset_m[..., ids], tip_m=self.tip_m[..., ids])


def links_of(cfg: ArmCfg, tasks: Sequence[Task]) -> Links:
    """Return the chains of N bodies, which differ in the lengths of their links."""
    model, ids = nominal_model(cfg.name), link_ids(cfg)
    shapes = [shape_fields(cfg.name, task.params["link_length_scale"]) for task in tasks]
    offset = np.stack([shape["body_pos"][ids] for shape in shapes], axis=-1)
    offset[0] = 0.0
    tip = np.stack([shape["site_pos"][model.site("tip").id] for shape in shapes], axis=-1)
    return Links(np.stack([_matrix(quat) for quat in model.body_quat[ids]]), model.jnt_axis.copy(), offset, tip)


def first_joint_m(cfg: ArmCfg) -> Array:
    """Return where in the world the first joint is, (3,): the origin of places."""
    return nominal_model(cfg.name).body_pos[link_ids(cfg)[0]].copy()


def _matrix(quat: Array) -> Array:
    matrix = np.empty(9)
    mujoco.mju_quat2Mat(matrix, quat)
    return matrix.reshape(3, 3)


def tip_position(links: Links, q_rad: Array) -> Array:
    """Return the tips (N, 3), m, of N bodies at joint positions (N, J)."""
    place = links.tip_m
    for j in reversed(range(q_rad.shape[1])):
        angle = np.ascontiguousarray(q_rad[:, j])
        place = links.offset_m[j] + _times(links.rotation[j], _spin(links.axis[j], angle, place))
    return place.T


def tip_jacobian(links: Links, q_rad: Array) -> tuple[Array, Array]:
    """Return the tips (N, 3) and their derivatives (N, 3, J), m/rad, by the joint positions (N, J)."""
    place, columns = links.tip_m, []
    for j in reversed(range(q_rad.shape[1])):
        angle = np.ascontiguousarray(q_rad[:, j])
        turn = lambda vector, j=j, angle=angle: _spin(links.axis[j], angle, vector)  # noqa: E731
        place, columns = turn(place), [turn(column) for column in columns]
        columns.append(_cross(links.axis[j], place))
        place, *columns = (_times(links.rotation[j], vector) for vector in (place, *columns))
        place = links.offset_m[j] + place
    return place.T, np.moveaxis(np.stack(columns[::-1]), (0, 1, 2), (2, 1, 0))


def _spin(axis: Array, angle_rad: Array, vector: Array) -> Array:
    """Return vectors (3, N) turned by angles (N,) about an axis (Rodrigues)."""
    across = _cross(axis, vector)
    return vector + np.sin(angle_rad) * across + (1.0 - np.cos(angle_rad)) * _cross(axis, across)


def _cross(axis: Array, vector: Array) -> Array:
    x, y, z = axis
    return np.stack((y * vector[2] - z * vector[1], z * vector[0] - x * vector[2], x * vector[1] - y * vector[0]))


def _times(matrix: Array, vector: Array) -> Array:
    return np.stack([row[0] * vector[0] + row[1] * vector[1] + row[2] * vector[2] for row in matrix])


TRIES, ROUNDS = 12, 60  # starts of the search for joint angles, and how many steps each takes
CLOSE_M = 1e-3
MARGIN_RAD = 0.05  # how far found angles stay from the joint limits


def inverse_kinematics(cfg: ArmCfg, goal_m: Array, q_rad: Array, task: Any = None) -> tuple[Array, Array]:
    """Return joint positions (N, J) that bring the tips to goals, near the present ones, and what is missing (N,), m.

    Damped least squares (Wampler, IEEE Trans. SMC 16, 1986) cut to the joint limits, from the present positions and
    from TRIES - 1 others spread over the limits; of those that arrive, the nearest to the present positions in its
    farthest joint.

    Args:
        cfg: The arm.
        goal_m: Goals (N, D), or (D,).
        q_rad: Present positions (N, J), or (J,).
        task: A task, None for the nominal arm, or a list of N tasks.

    Raises:
        ValueError: The shapes or the arm do not fit.
    """
    goals, present = np.atleast_2d(np.asarray(goal_m, np.float64)), np.atleast_2d(np.asarray(q_rad, np.float64))
    tasks = as_tuple(cfg, task)
    shapes = (len(present), len(cfg.workspace.axes)), (len(goals), cfg.n_joints)
    if (goals.shape, present.shape) != shapes or len(tasks) not in (1, len(goals)):
        raise ValueError(f"{len(tasks)} tasks, goals {goals.shape} and positions {present.shape} do not fit each other")
    links = links_of(cfg, tasks * (len(goals) // len(tasks)))
    found, left = _search(cfg, links, goals, present)
    return (found, left) if np.ndim(goal_m) == 2 else (found[0], left[0])


def _search(cfg: ArmCfg, links: Links, goal_m: Array, q_rad: Array) -> tuple[Array, Array]:
    """Return joint positions (N, J) and what is missing (N,), m, for N bodies."""
    n_arms, axes = len(q_rad), list(cfg.workspace.axes)
    low, high = np.array(cfg.q_min_rad) + MARGIN_RAD, np.array(cfg.q_max_rad) - MARGIN_RAD
    steps = np.sqrt([2.0, 3.0, 5.0, 7.0, 11.0, 13.0, 17.0, 19.0])[: cfg.n_joints]
    spread = low + (high - low) * ((np.arange(1, TRIES)[:, None] * steps) % 1.0)
    start = np.concatenate([q_rad[None], np.repeat(spread[:, None], n_arms, 1)]).reshape(-1, cfg.n_joints)
    many, goal = links.of(np.tile(np.arange(n_arms), TRIES)), np.tile(goal_m, (TRIES, 1))
    found = np.clip(start, low, high)
    for _ in range(ROUNDS):
        tip, slope = tip_jacobian(many, found)
        slope, miss = slope[:, axes], goal - tip[:, axes]
        square = slope @ slope.swapaxes(1, 2) + 1e-3 * np.eye(len(axes))
        found = np.clip(found + (slope.swapaxes(1, 2) @ np.linalg.solve(square, miss[..., None]))[..., 0], low, high)
    left = np.linalg.norm(goal - tip_position(many, found)[:, axes], axis=1).reshape(TRIES, n_arms)
    found = found.reshape(TRIES, n_arms, -1)
    cost = np.abs(found - q_rad).max(axis=2) + 1e3 * np.maximum(left - CLOSE_M, 0.0)
    best = cost.argmin(axis=0), np.arange(n_arms)
    return found[best], left[best]
