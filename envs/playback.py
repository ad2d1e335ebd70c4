"""The MuJoCo Scorbot follows a spiking network's joint angles through its servos: it stands in for the real robot.

Ortner, Petschenig et al., Nat. Commun. 16:1243 (2025): base and shoulder of an ED-Scorbot move, the rest is fixed. Each
1 ms step of the network is held for 250 ms, so that a trajectory takes about a minute; positions are read off the
encoders, and the tip follows from them by forward kinematics.
"""

from __future__ import annotations

import os
from functools import lru_cache
from typing import Any, NamedTuple

import mujoco
import numpy as np
from mujoco import rollout
from numpy.typing import NDArray

from .models import ASSETS, SCORBOT
from .trajectories import A2, A3, A4, D23, LIMIT_RAD, STEP_S, tip_position

PAPER_HOLD_S = 0.25
"""How long the paper holds each step of the network, s."""
FAST_HOLD_S = STEP_S
"""As long as the step of the arm's kinematics: the trajectory at the speed it was trained at, 25 times faster."""
PEDESTAL_M = 0.5
"""Height of the pedestal that the arm of envs/assets stands on; the kinematics begin above it."""
SHOULDER_M = -0.098
"""Sideways offset of the shoulder (d2 of the released code); the rest of D23 lies at the elbow."""

# github.com/RTC-research-group/ED-Scorbot, Accuracy-Precision_Tests/functions: deg2dsr.m, count2deg.m (base, shoulder)
REFERENCES_PER_DEG = np.array([3.0506, 9.5329])
COUNTS_PER_DEG = np.array([125.5, 131.0])

_DT_S, _SETTLE_S = 0.005, 5.0
_STATE = mujoco.mjtState.mjSTATE_FULLPHYSICS
# Our choice, as those of the robot are not published. The stretched arm has 1.8 kg m2 about either joint: 5 Hz.
_KP_NM_RAD, _KI_NM_RAD_S, _KD_NMS_RAD = 1800.0, 5400.0, 110.0
# In the middle of their range on the bodies of dynamics.py, times the joints' friction_scale.
_VISCOUS_NMS, _COULOMB_NM = 0.5, 0.3


class Played(NamedTuple):
    """What the encoders saw."""

    angle_rad: NDArray[np.float64]
    """Base and shoulder at the end of each step. Shape: (B, T, 2)."""
    tip_m: NDArray[np.float64]
    """The tip that follows. Shape: (B, T, 3)."""


def servo_arm() -> mujoco.MjModel:
    """Return the Scorbot with two joints and their servos, its lengths and zeros those of the paper's kinematics."""
    spec = mujoco.MjSpec.from_file(str(ASSETS / f"{SCORBOT.name}.xml"))
    spec.option.timestep = _DT_S
    for actuator in list(spec.actuators):
        spec.delete(actuator)
    for name in ("elbow", "pitch", "roll"):
        spec.delete(spec.joint(name))
    _take_lengths(spec)
    _look(spec)
    spec.activate_plugin("mujoco.pid")
    for index, name in enumerate(("yaw", "shoulder")):
        _drive(spec, name, index)
    return spec.compile()


def _take_lengths(spec: mujoco.MjSpec) -> None:
    """Take the lengths of the kinematics; the arm points forward at zero, and both joints turn the other way."""
    shoulder, elbow, wrist = (spec.body(f"link{number}") for number in (2, 3, 4))
    shoulder.pos[1] = SHOULDER_M
    shoulder.quat = [np.sqrt(0.5), 0.0, np.sqrt(0.5), 0.0]
    elbow.pos = [0.0, D23 - SHOULDER_M, A2]
    spec.geom("link3").fromto = [0.0, 0.0, 0.0, 0.0, 0.0, A3]
    wrist.pos = [0.0, 0.0, A3]
    beyond = A4 - spec.body("link5").pos[2]
    spec.site("tip").pos = [0.0, 0.0, beyond]
    spec.body("payload").pos = [0.0, 0.0, beyond]


def _look(spec: mujoco.MjSpec) -> None:
    """Add a camera, "workspace", that sees all places where the tip can be."""
    eye, centre = np.array([2.35, -1.75, 1.75]), np.array([0.3, 0.0, 0.92])
    back = (eye - centre) / np.linalg.norm(eye - centre)
    right = np.cross([0.0, 0.0, 1.0], back) / np.linalg.norm(np.cross([0.0, 0.0, 1.0], back))
    quat = np.empty(4)
    mujoco.mju_mat2Quat(quat, np.stack([right, np.cross(back, right), back], 1).ravel())
    spec.worldbody.add_camera(name="workspace", pos=eye, quat=quat, fovy=38.0)


def _drive(spec: mujoco.MjSpec, name: str, index: int) -> None:
    """Give a joint its limits, friction and servo."""
    joint, limit = spec.joint(name), float(LIMIT_RAD[index])
    joint.axis = -np.asarray(joint.axis)
    joint.range = [-limit, limit]
    joint.damping[0] = _VISCOUS_NMS * SCORBOT.friction_scale[index]
    joint.frictionloss = _COULOMB_NM * SCORBOT.friction_scale[index]
    torque = SCORBOT.torque_max_nm[index]
    servo = spec.add_plugin(name=f"{name}_servo", plugin_name="mujoco.pid")
    gains = {"kp": _KP_NM_RAD, "ki": _KI_NM_RAD_S, "kd": _KD_NMS_RAD, "imax": torque}
    servo.config = {key: str(value) for key, value in gains.items()}
    motor = spec.add_actuator(name=name, target=name, trntype=mujoco.mjtTrn.mjTRN_JOINT, actdim=1)
    motor.plugin = servo
    motor.plugin.name, motor.plugin.active = servo.name, True
    motor.forcelimited, motor.forcerange = True, [-torque, torque]


@lru_cache(maxsize=1)
def _settled() -> tuple[mujoco.MjModel, NDArray[np.float64]]:
    """Return the arm and its state after it has held itself at zero for a while."""
    model = servo_arm()
    data = mujoco.MjData(model)
    mujoco.mj_step(model, data, nstep=round(_SETTLE_S / _DT_S))
    state = np.empty(mujoco.mj_stateSize(model, _STATE))
    mujoco.mj_getState(model, data, state, _STATE)
    return model, state


def play(angle_rad: NDArray[np.float64], hold_s: float = PAPER_HOLD_S, n_threads: int | None = None) -> Played:
    """Let the arm follow joint angles, each trajectory on an arm of its own that starts at rest at zero.

    Args:
        angle_rad: Commanded base and shoulder angles; beyond the joint limits they are cut. Shape: (B, T, 2).
        hold_s: How long each is held, a multiple of 5 ms.
        n_threads: Native threads; None: one a core.
    """
    angle_rad = np.asarray(angle_rad, dtype=np.float64)
    if angle_rad.ndim != 3 or angle_rad.shape[-1] != 2 or not np.isfinite(angle_rad).all():
        raise ValueError(f"angles must be finite and of shape (B, T, 2), got shape {angle_rad.shape}")
    n_held = held(hold_s)
    model, start = _settled()
    commanded = np.clip(angle_rad, -LIMIT_RAD, LIMIT_RAD)
    control = np.repeat(_rounded(commanded, REFERENCES_PER_DEG), n_held, axis=1)
    threads = [mujoco.MjData(model) for _ in range(n_threads or os.cpu_count() or 1)]
    states: Any = rollout.rollout(model, threads, np.repeat(start[None], len(control), 0), control)[0]
    seen = _rounded(states[:, n_held - 1 :: n_held, 1:3], COUNTS_PER_DEG)  # the state begins with the time
    return Played(seen, tip_position(seen))


def held(hold_s: float) -> int:
    """Return how many physics steps a step of the network is held.

    Raises:
        ValueError: Not a whole number of them.
    """
    if not _DT_S <= hold_s <= 60.0 or not np.isclose(round(hold_s / _DT_S) * _DT_S, hold_s):
        raise ValueError(f"hold_s must be a multiple of {_DT_S}, {_DT_S} to 60, got {hold_s}")
    return round(hold_s / _DT_S)


def _rounded(angle_rad: NDArray[np.float64], per_deg: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return angles in whole units of a reference or an encoder."""
    return np.deg2rad(np.round(np.rad2deg(angle_rad) * per_deg) / per_deg)


def tip_rmse_m(tip_m: NDArray[np.float64], target_m: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the root of the mean over time of the squared distance, for each trajectory. Shapes: (B, T, 3) to (B,)."""
    return np.sqrt(np.square(tip_m - target_m).sum(-1).mean(-1))
