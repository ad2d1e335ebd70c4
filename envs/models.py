"""The arms: what every body of an arm has in common, and its model compiled for given link lengths."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import mujoco
import numpy as np
from numpy.typing import NDArray

from .workspace import Workspace

ASSETS = Path(__file__).parent / "assets"


class Observation(NamedTuple):
    """What an arm senses and is asked to do: slices of an observation, each (..., J)."""

    q_rad: Any
    qd_rad_s: Any
    q_ref_rad: Any
    qd_ref_rad_s: Any
    qdd_ref_rad_s2: Any
    prev_action: Any


@dataclass(frozen=True)
class ArmCfg:
    """An arm's joints, motors, sensors and its law from error to wanted acceleration."""

    name: str
    """Name of the arm, and of its MJCF file in assets/ unless `file` gives one."""
    n_joints: int
    """Number J of hinge joints; there is one link and one motor for each."""
    torque_max_nm: tuple[float, ...]
    """Torque of each motor at action 1 and gain 1: the weakest in-range motor (gain .25) holds the heaviest in-range
    body stretched out with 30 % to spare (tests/envs/test_strength.py works it out from the model). Joints that hold
    little or nothing: the yaw accelerates that body by 10 rad/s2, the roll has the motor of the wrist's pitch."""
    q_min_rad: tuple[float, ...]
    """Lower joint limits."""
    q_max_rad: tuple[float, ...]
    """Upper joint limits."""
    parallel_joints: tuple[int, ...]
    """Indices of the consecutive joints whose axes are parallel."""
    payload_ranges_kg: tuple[tuple[float, float], tuple[float, float], tuple[float, float]]
    """Payload in range, mild and hard."""
    friction_scale: tuple[float, ...]
    """Factor of each joint on the ranges of viscous and Coulomb friction: 1 on the planar arm, on the Scorbot about
    torque_max_nm / 100 N m, since a wrist cannot bear what a shoulder does not notice."""
    workspace: Workspace
    """Where the goals of the reaching world lie: what the tip of every body in range reaches."""
    kp_per_s2: float = 100.0
    """Gain of the wanted acceleration on the position error."""
    kd_per_s: float = 20.0
    """Gain of the wanted acceleration on the velocity error."""
    dt_s: float = 0.02
    """Time of a control step."""
    frame_skip: int = 5
    """Physics steps of .004 s in a control step."""
    encoder_resolution_rad: float = 2.0 * np.pi / 16384
    """Step of the joint encoders (14 bits a turn, an assumption)."""
    velocity_noise_rad_s: float = 0.005
    """Standard deviation of the measured velocities."""
    file: Path | None = None
    """Its MJCF file; None: the one of its name in assets/."""
    wired: bool = False
    """Whether bodies may have miswired motors, as in the reaching world."""

    @property
    def n_observations(self) -> int:
        """Length of an observation: six quantities a joint."""
        return len(Observation._fields) * self.n_joints

    def unpack(self, obs: Any) -> Observation:
        """Return the parts of the tracking world's observations (..., 6 J); numpy arrays and torch tensors alike.

        Raises:
            ValueError: They are not of that world.
        """
        if obs.shape[-1] != self.n_observations:
            raise ValueError(f"an observation of tracking has {self.n_observations} numbers, not {obs.shape[-1]}")
        width = self.n_joints
        return Observation(*(obs[..., k * width : (k + 1) * width] for k in range(len(Observation._fields))))

    def commanded_acceleration(self, obs: Any) -> Any:
        """Return the wanted acceleration (..., J), rad/s2: the same law for every learner and controller."""
        seen = self.unpack(obs)
        velocity_error = seen.qd_ref_rad_s - seen.qd_rad_s
        position_error = seen.q_ref_rad - seen.q_rad
        return seen.qdd_ref_rad_s2 + self.kd_per_s * velocity_error + self.kp_per_s2 * position_error


PLANAR = ArmCfg(
    name="planar",
    n_joints=2,
    torque_max_nm=(152.0, 60.0),
    q_min_rad=(-1.8, -2.2),
    q_max_rad=(1.8, 2.2),
    parallel_joints=(0, 1),
    payload_ranges_kg=((0.0, 1.5), (1.5, 2.0), (2.0, 3.0)),
    friction_scale=(1.0, 1.0),
    # links of .45 m: .9 at most; .55 and .45 m with the elbow at its limit: .51 at least; the shoulder turns to 1.8 rad
    workspace=Workspace(axes=(0, 2), radius_m=(0.54, 0.86), elevation_rad=(-1.6, 1.6)),
)

SCORBOT = ArmCfg(
    name="scorbot",
    n_joints=5,
    torque_max_nm=(145.0, 242.0, 88.0, 25.0, 25.0),
    q_min_rad=(-2.182, -1.484, -1.963, -1.571, -3.1416),
    q_max_rad=(2.182, 1.484, 1.963, 1.571, 3.1416),
    parallel_joints=(1, 2, 3),
    payload_ranges_kg=((0.0, 1.0), (1.0, 1.5), (1.5, 2.5)),
    friction_scale=(1.4, 2.4, 0.9, 0.25, 0.25),
    workspace=Workspace(
        axes=(0, 1, 2),
        radius_m=(0.36, 0.58),
        elevation_rad=(-0.5, 0.9),
        azimuth_rad=(-1.8, 1.8),
        centre_m=(0.0, 0.0, 0.1885),
    ),
)

ARMS = {"planar": PLANAR, "scorbot": SCORBOT}


def arm_cfg(name: str) -> ArmCfg:
    """Return the arm of that name.

    Raises:
        ValueError: There is none.
    """
    if name not in ARMS:
        raise ValueError(f"unknown arm {name!r}; choose from {sorted(ARMS)}")
    return ARMS[name]


def compile_arm(cfg: ArmCfg, length_scale: tuple[float, ...] | None = None) -> mujoco.MjModel:
    """Return the arm's model, nominal but for the lengths of its links.

    Args:
        cfg: The arm.
        length_scale: A factor a link on the place of everything in its body (shape, tip, next joint); masses stay and
            inertias follow the shape. None leaves the file's lengths.
    """
    return _stretched(_parsed(cfg), length_scale or ())


def _parsed(cfg: ArmCfg) -> Any:
    """Return the arm's file as a specification, its motors as strong as the configuration says."""
    spec = mujoco.MjSpec.from_file(str(cfg.file or ASSETS / f"{cfg.name}.xml"))
    for motor, torque in zip(spec.actuators, cfg.torque_max_nm, strict=True):
        motor.gainprm[0] = torque
    return spec


@cache
def _undressed(name: str) -> Any:
    """Return the specification without pictures, which take most of the time of a compilation; copy before use."""
    spec = _parsed(arm_cfg(name))
    for texture in list(spec.textures):
        spec.delete(texture)
    for material in spec.materials:
        material.textures = [""] * len(material.textures)
    return spec


def _stretched(spec: Any, length_scale: tuple[float, ...]) -> mujoco.MjModel:
    """Return the specification's model with its links scaled; the specification is spent."""
    for number, scale in enumerate(length_scale):
        _stretch(spec.body(f"link{number + 1}"), scale)
    return spec.compile()


def _stretch(body: Any, scale: float) -> None:
    """Scale the places of a body's shapes, sites and children, in the body's own frame."""
    for geom in body.geoms:
        geom.pos = np.asarray(geom.pos) * scale
        geom.fromto = np.asarray(geom.fromto) * scale  # NaN, "not given", stays NaN
    for part in (*body.sites, *body.bodies):
        part.pos = np.asarray(part.pos) * scale


# Everything in which two compiled bodies of one arm can differ; what follows from these is left to mj_setConst.
SHAPE_FIELDS = (
    *("body_pos", "body_quat", "body_ipos", "body_iquat", "body_mass", "body_inertia"),
    *("geom_pos", "geom_quat", "geom_size", "geom_rbound", "geom_aabb", "site_pos"),
)


@lru_cache(maxsize=2048)
def shape_fields(name: str, length_scale: tuple[float, ...]) -> dict[str, NDArray[np.float64]]:
    """Return the fields of the model compiled for these lengths, kept for as long as the process lives."""
    model = _stretched(_undressed(name).copy(), length_scale)
    return {field: getattr(model, field).copy() for field in SHAPE_FIELDS}


@lru_cache(maxsize=16)
def nominal_model(name: str) -> mujoco.MjModel:
    """Return the nominal model, shared: read it, copy it, never write to it."""
    return compile_arm(arm_cfg(name))
