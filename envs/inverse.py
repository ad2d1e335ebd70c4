"""Inverse dynamics of many bodies at once: the action that gives an acceleration."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any, NamedTuple

import mujoco
import numpy as np
from numpy.typing import NDArray

from .bodies import driven_joints, link_ids, model_fields
from .models import ArmCfg, arm_cfg, nominal_model
from .tasks import Task, as_tuple, describe

Array = NDArray[Any]


class Chain(NamedTuple):
    """Serial chains of N bodies; vectors come first, (3, N, 1), to broadcast over samples (3, N, S)."""

    rotation: Array  # (J, 3, 3) orientation of a link in its parent at angle zero, the same for every body
    axis: Array  # (J, 3) joint axes in the link, the same for every body
    offset_m: Array  # (J, 3, N, 1) place of a link in its parent
    mass_kg: Array  # (J, N, 1)
    moment_kg_m: Array  # (J, 3, N, 1) mass times centre of mass
    inertia_kg_m2: Array  # (J, 3, 3, N, 1) about the joint
    armature_kg_m2: Array  # (J,)
    viscous_nms: Array  # (N, 1, J)
    coulomb_nm: Array  # (N, 1, J)
    stiction_per_s: float  # rate at which friction tries to stop a joint
    stiction_kg_m2: Array  # (N, 1, J) inertia it assumes in doing so
    torque_per_action_nm: Array  # (N, 1, J) of each command, on the joint that it drives
    driven: Array | None  # (N, 1, J) the joint that each command drives; None: its own
    gravity_m_s2: Array  # (3, N, 1)


def inverse_dynamics(cfg: ArmCfg, q_rad: Array, qd_rad_s: Array, qdd_rad_s2: Array, task: Any) -> Array:
    """Return the action that gives this acceleration on this body: friction, gain, wiring; no delay, not clipped.

    Args:
        cfg: The arm.
        q_rad: Positions (..., J), or (N, ..., J) for a list of N tasks.
        qd_rad_s: Velocities of the same shape, or one that broadcasts to it.
        qdd_rad_s2: Wanted accelerations, likewise.
        task: A task, None for the nominal arm, or a list of N tasks.

    Raises:
        ValueError: The shapes or the arm do not fit.
    """
    tasks = as_tuple(cfg, task)
    arrays = (np.asarray(array, dtype=np.float64) for array in (q_rad, qd_rad_s, qdd_rad_s2))
    q, qd, qdd = np.broadcast_arrays(*arrays)
    many = isinstance(task, (list, tuple))
    if q.ndim < 1 + many or q.shape[-1] != cfg.n_joints or (many and q.shape[0] != len(tasks)):
        wanted = f"({len(tasks)}, ..., {cfg.n_joints})" if many else f"(..., {cfg.n_joints})"
        raise ValueError(f"positions, velocities and accelerations must be {wanted}, not {q.shape}")
    flat = [array.reshape(len(tasks), -1, cfg.n_joints) for array in (q, qd, qdd)]
    chain = _chain(cfg.name, tasks)
    wanted = torque(chain, *flat)
    if chain.driven is not None:
        wanted = np.take_along_axis(wanted, chain.driven, axis=-1)
    return (wanted / chain.torque_per_action_nm).reshape(q.shape)


def torque(chain: Chain, q: Array, qd: Array, qdd: Array) -> Array:
    """Return the joint torques (N, S, J), N m, that give accelerations qdd: rigid body, armature and friction."""
    return rigid_torque(chain, q, qd, qdd, chain.gravity_m_s2) + chain.viscous_nms * qd - friction(chain, qd, qdd)


def friction(chain: Chain, qd: Array, qdd: Array) -> Array:
    """Return the torque (N, S, J) of MuJoCo's friction loss, at most the Coulomb torque.

    Its soft constraint asks for the acceleration -b qd and pushes towards it with the joint's own inertia as it
    stands at angle zero (MuJoCo documentation, Computation, "Constraint model": aref = -b v, R = (1 - d) A / d).
    """
    push = chain.stiction_kg_m2 * (-chain.stiction_per_s * qd - qdd)
    return np.clip(push, -chain.coulomb_nm, chain.coulomb_nm)


def rigid_torque(chain: Chain, q: Array, qd: Array, qdd: Array, gravity: Array) -> Array:
    """Return the torques (N, S, J) of the rigid bodies and the armatures.

    The recursive Newton-Euler scheme (Craig, Introduction to Robotics, chapter 6), each link in its own frame, with
    mass, first moment and inertia about the joint: the base accelerates against gravity, forces are summed backwards.
    """
    n_joints = q.shape[-1]
    turn, turn_rate, fall = np.zeros((3, 1, 1)), np.zeros((3, 1, 1)), -gravity
    rotations, forces, torques = [], [], []
    for j in range(n_joints):
        axis, offset = chain.axis[j][:, None, None], chain.offset_m[j]
        fall = fall + _cross(turn_rate, offset) + _cross(turn, _cross(turn, offset))
        rotation = _Rotation(chain.rotation[j], chain.axis[j], q[..., j])
        turn, turn_rate, fall = rotation.back(turn), rotation.back(turn_rate), rotation.back(fall)
        spin = axis * qd[..., j]
        turn_rate = turn_rate + _cross(turn, spin) + axis * qdd[..., j]
        turn = turn + spin
        moment, inertia = chain.moment_kg_m[j], chain.inertia_kg_m2[j]
        forces.append(chain.mass_kg[j] * fall + _cross(turn_rate, moment) + _cross(turn, _cross(turn, moment)))
        torques.append(_times(inertia, turn_rate) + _cross(turn, _times(inertia, turn)) + _cross(moment, fall))
        rotations.append(rotation)
    result = np.empty(np.broadcast_shapes(q.shape, (chain.mass_kg.shape[1], 1, 1)))
    for j in reversed(range(n_joints)):
        force, moment = forces[j], torques[j]
        if j + 1 < n_joints:
            carried = rotations[j + 1].forth(forces[j + 1])
            force = forces[j] = force + carried
            moment = torques[j] = (
                moment + rotations[j + 1].forth(torques[j + 1]) + _cross(chain.offset_m[j + 1], carried)
            )
        result[..., j] = np.tensordot(chain.axis[j], moment, 1) + chain.armature_kg_m2[j] * qdd[..., j]
    return result


class _Rotation:
    """The rotation of a link in its parent, for every sample: a fixed one, then an angle about an axis (Rodrigues)."""

    def __init__(self, fixed: Array, axis: Array, angle_rad: Array) -> None:
        self._fixed, self._across = fixed, np.cross(np.eye(3), axis)  # the matrix of "axis x"
        self._sin, self._versine = np.sin(angle_rad), 1.0 - np.cos(angle_rad)

    def forth(self, vector: Array) -> Array:
        """Return vectors (3, N, S) of the link in the parent's frame."""
        return np.tensordot(self._fixed, self._spin(vector, self._sin), 1)

    def back(self, vector: Array) -> Array:
        """Return vectors (3, N, S) of the parent in the link's frame."""
        return self._spin(np.tensordot(self._fixed.T, vector, 1), -self._sin)

    def _spin(self, vector: Array, sine: Array) -> Array:
        across = np.tensordot(self._across, vector, 1)
        return vector + sine * across + self._versine * np.tensordot(self._across, across, 1)


def _cross(a: Array, b: Array) -> Array:
    """Return the cross product of vectors whose components come first."""
    return np.stack((a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]))


def _times(matrix: Array, vector: Array) -> Array:
    """Return matrices (3, 3, N, 1) times vectors (3, N, S)."""
    return np.stack([row[0] * vector[0] + row[1] * vector[1] + row[2] * vector[2] for row in matrix])


@lru_cache(maxsize=64)
def _chain(name: str, tasks: tuple[Task, ...]) -> Chain:
    """Return the chains of these bodies, from the very fields that their models are written with."""
    model, wired = nominal_model(name), any(task.wired for task in tasks)
    cfg = replace(arm_cfg(name), wired=wired)
    fields, links = model_fields(cfg, tasks), link_ids(cfg)
    mass, moment, inertia = _link_inertias(cfg, fields)
    by_sample = lambda array: np.moveaxis(array, 0, -1)[..., None]  # noqa: E731  (N, J, ...) -> (J, ..., N, 1)
    chain = Chain(
        rotation=np.stack([_matrix(quat) for quat in model.body_quat[links]]),
        axis=model.jnt_axis.copy(),
        offset_m=by_sample(fields["body_pos"][:, links]),
        mass_kg=by_sample(mass),
        moment_kg_m=by_sample(moment),
        inertia_kg_m2=by_sample(inertia),
        armature_kg_m2=model.dof_armature.copy(),
        viscous_nms=fields["dof_damping"][:, None],
        coulomb_nm=fields["dof_frictionloss"][:, None],
        stiction_per_s=2.0 / (model.dof_solimp[0, 1] * model.dof_solref[0, 0]),
        stiction_kg_m2=np.zeros((len(tasks), 1, cfg.n_joints)),
        torque_per_action_nm=fields["actuator_gainprm"][:, None, :, 0],
        driven=driven_joints(describe(tasks, wired))[:, None] if wired else None,
        gravity_m_s2=by_sample(fields["opt.gravity"]),
    )
    impedance = model.dof_solimp[0, 0]
    return chain._replace(stiction_kg_m2=impedance / (1.0 - impedance) / _mobility_at_zero(chain))


def _link_inertias(cfg: ArmCfg, fields: dict[str, Array]) -> tuple[Array, Array, Array]:
    """Return mass (N, J), first moment (N, J, 3) and inertia about the joint (N, J, 3, 3), the payload included."""
    links, payload = link_ids(cfg), nominal_model(cfg.name).body("payload").id
    mass, moment, inertia = _about_origin(fields, links, fields["body_ipos"][:, links])
    place = fields["body_pos"][:, [payload]] + fields["body_ipos"][:, [payload]]
    for whole, part in zip((mass, moment, inertia), _about_origin(fields, [payload], place), strict=True):
        whole[:, -1] += part[:, 0]
    return mass, moment, inertia


def _about_origin(fields: dict[str, Array], bodies: list[int], place: Array) -> tuple[Array, Array, Array]:
    """Return mass, first moment and inertia of bodies whose centres lie at `place` (N, B, 3)."""
    mass = fields["body_mass"][:, bodies]
    frames = np.array([[_matrix(quat) for quat in row] for row in fields["body_iquat"][:, bodies]])
    inertia = np.einsum("nbij,nbj,nbkj->nbik", frames, fields["body_inertia"][:, bodies], frames)
    square = np.einsum("nbi,nbi->nb", place, place)[..., None, None] * np.eye(3)
    steiner = mass[..., None, None] * (square - place[..., :, None] * place[..., None, :])
    return mass.copy(), mass[..., None] * place, inertia + steiner


def _mobility_at_zero(chain: Chain) -> Array:
    """Return the diagonal of the inverse inertia matrix at angle zero, (N, 1, J): MuJoCo's dof_invweight0."""
    n_bodies, n_joints = chain.mass_kg.shape[1], len(chain.axis)
    still, pushes = np.zeros((n_bodies, n_joints, n_joints)), np.eye(n_joints)[None]
    pushes = np.broadcast_to(pushes, still.shape)
    inertia = rigid_torque(chain, still, still, pushes, np.zeros_like(chain.gravity_m_s2))
    return np.diagonal(np.linalg.inv(inertia), axis1=1, axis2=2)[:, None]


def _matrix(quat: Array) -> Array:
    """Return the rotation matrix of a quaternion."""
    matrix = np.empty(9)
    mujoco.mju_quat2Mat(matrix, quat)
    return matrix.reshape(3, 3)
