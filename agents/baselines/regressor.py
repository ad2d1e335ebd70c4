"""Commands as linear functions of what is unknown of a body: the regressor of adaptive control.

The torque of a rigid arm is linear in its masses, in gravity times its masses, and in its friction (Slotine and Li,
On the adaptive control of robot manipulators, 1987), and the gain of a motor divides it: so the command of joint i is
Y_i(q, qd, qdd) theta_i with numbers theta_i of that joint's own. The columns of Y are differences of the
world's inverse dynamics between bodies that differ in one number.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ..episodes import Array

PULLS = ((0.0, 0.0), (np.pi, 0.0), (np.pi / 2, 0.0), (np.pi / 2, np.pi / 2))
"""Tilt and heading of gravity: down, up, along x, along y."""
COULOMB_NM = 0.3
"""Coulomb friction at which the smooth sign of motion is read: MuJoCo's saturates, so it is not quite linear."""


class Sample(NamedTuple):
    """Where commands are asked for; every array (N, S, J)."""

    q_rad: Array
    qd_rad_s: Array
    qdd_rad_s2: Array


class Regressor:
    """Y of N arms. It knows each arm's true link lengths, in which torque is not linear, or takes the nominal ones."""

    def __init__(self, env: Any, tasks: Sequence[Any] | None = None) -> None:
        """Build the bodies whose inverse dynamics are compared.

        Args:
            env: Vector environment, for its inverse dynamics.
            tasks: True bodies, one an arm, of which the link lengths are taken and nothing else; None: nominal lengths.
        """
        self._world = env.unwrapped
        some = self._world.sample_tasks(1, seed=0)[0]
        self.n_joints = n = self._world.arm_cfg.n_joints
        known = [{}] if tasks is None else [{"link_length_scale": t.params["link_length_scale"]} for t in tasks]
        variants = _variants(n)
        self._bodies = [dataclasses.replace(some, params=lengths | own) for lengths in known for own in variants]
        self._n_variants, self._shared = len(variants), tasks is None
        self.n_columns = 3 + 4 * (n + 1)

    def __call__(self, at: Sample) -> Array:
        """Return the columns (N, S, J, C): armature, then for each link and the payload its inertia and its pull along
        z, x and y, then viscous and Coulomb friction.
        """
        n = self.n_joints
        command = self._commands(at)  # (N, V, S, J)
        rigid = command[:, :-2].reshape(len(command), n + 2, len(PULLS), *command.shape[2:])
        down, up, along_x, along_y = np.moveaxis(rigid, 2, 0)
        inertia, pull = (down + up) / 2, (down - up) / 2
        parts = np.stack([inertia, pull, along_x - inertia, along_y - inertia], axis=2)  # (N, n + 2, 4, S, J)
        unit = parts[:, 1:] - parts[:, :1]
        armature = inertia[:, 0] - unit[:, :n, 0].sum(axis=1)
        nominal = command[:, :1]
        friction = (command[:, -2:] - nominal) / np.array([1.0, COULOMB_NM])[:, None, None]
        columns = [armature[:, None], unit.reshape(len(unit), -1, *unit.shape[3:]), friction]
        return np.moveaxis(np.concatenate(columns, axis=1), 1, -1)

    def _commands(self, at: Sample) -> Array:
        """Return what every variant of every arm's body needs, (N, V, S, J)."""
        n_arms, n_samples, n_joints = at.q_rad.shape
        if self._shared:
            flat = [array.reshape(1, -1, n_joints).repeat(self._n_variants, axis=0) for array in at]
            found = self._world.inverse_dynamics(*flat, self._bodies)
            return found.reshape(self._n_variants, n_arms, n_samples, n_joints).swapaxes(0, 1)
        flat = [array.repeat(self._n_variants, axis=0) for array in at]
        return self._world.inverse_dynamics(*flat, self._bodies).reshape(n_arms, -1, n_samples, n_joints)


def _variants(n_joints: int) -> list[dict[str, Any]]:
    """Return bodies: nominal, each link twice as heavy, 1 kg of payload, each under every pull; and two frictions."""
    loads: list[dict[str, Any]] = [{}]
    loads += [{"link_mass_scale": [2.0 if k == link else 1.0 for k in range(n_joints)]} for link in range(n_joints)]
    loads += [{"payload_kg": 1.0}]
    pulls = [{"gravity_tilt_rad": tilt, "gravity_heading_rad": heading} for tilt, heading in PULLS]
    rubs: list[dict[str, Any]] = [{"viscous_nms": [1.0] * n_joints}, {"coulomb_nm": [COULOMB_NM] * n_joints}]
    return [load | pull for load in loads for pull in pulls] + rubs


def unknowns(tasks: Sequence[Any]) -> Array:
    """Return theta (N, J, C) of bodies, in the order of the columns."""
    return np.stack([_unknowns(task.params) for task in tasks])


def _unknowns(params: Any) -> Array:
    tilt, heading = params["gravity_tilt_rad"], params["gravity_heading_rad"]
    field = np.array([1.0, np.cos(tilt), np.sin(tilt) * np.cos(heading), np.sin(tilt) * np.sin(heading)])
    masses = np.array([*params["link_mass_scale"], params["payload_kg"]])
    shared = np.concatenate([[1.0], np.outer(masses, field).ravel()])
    rows = [[*shared, *rub] for rub in zip(params["viscous_nms"], params["coulomb_nm"], strict=True)]
    return np.array(rows) / np.array(params["actuator_gain"])[:, None]


class Prior(NamedTuple):
    """What is known of a body before it is met."""

    mean: Array  # (J, C)
    covariance: Array  # (J, C, C)


def prior(env: Any, n_bodies: int = 2000, seed: int = 0) -> Prior:
    """Return mean and covariance of theta over in-range bodies of the training split."""
    drawn = unknowns(env.unwrapped.sample_tasks(n_bodies, split="train", seed=seed))
    centred = drawn - drawn.mean(axis=0)
    return Prior(drawn.mean(axis=0), np.einsum("njc,njd->jcd", centred, centred) / n_bodies)
