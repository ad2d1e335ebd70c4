"""What a task changes in a model: fields worked out from the remembered nominal model, never from the last body."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from .models import SHAPE_FIELDS, ArmCfg, nominal_model, shape_fields
from .tasks import Task, describe

Array = NDArray[Any]

GRAVITY_M_S2 = 9.81
PAYLOAD_DENSITY_KG_M3 = 1500.0  # a box of tools, an assumption: gives the ball its radius, and with it its inertia


def payload_radius_m(payload_kg: Array) -> Array:
    """Return the radius of a ball of this mass."""
    return np.cbrt(np.asarray(payload_kg) * 3.0 / (4.0 * np.pi * PAYLOAD_DENSITY_KG_M3))


def gravity_m_s2(tilt_rad: Array, heading_rad: Array) -> Array:
    """Return the vector of gravity (N, 3), leaning by the tilt into the heading."""
    lean = np.sin(tilt_rad)
    parts = (lean * np.cos(heading_rad), lean * np.sin(heading_rad), -np.cos(tilt_rad))
    return GRAVITY_M_S2 * np.stack(parts, axis=-1)


def link_ids(cfg: ArmCfg) -> list[int]:
    """Return the body number of each link."""
    model = nominal_model(cfg.name)
    return [model.body(f"link{number + 1}").id for number in range(cfg.n_joints)]


def model_fields(cfg: ArmCfg, tasks: Sequence[Task]) -> dict[str, Array]:
    """Return every model field that differs between bodies, by name, (N, ...); gravity as "opt.gravity".

    After writing them mj_setConst has to follow.
    """
    params = describe(tasks, cfg.wired)
    shapes = [shape_fields(cfg.name, task.params["link_length_scale"]) for task in tasks]
    fields = {name: np.array([shape[name] for shape in shapes]) for name in SHAPE_FIELDS}
    _load_links(cfg, fields, params)
    fields.update(_drive(cfg, params))
    fields["opt.gravity"] = gravity_m_s2(params["gravity_tilt_rad"], params["gravity_heading_rad"])
    return fields


def _load_links(cfg: ArmCfg, fields: dict[str, Array], params: dict[str, Array]) -> None:
    """Write masses, inertias and the size of the payload into freshly stacked shape fields."""
    model, links = nominal_model(cfg.name), link_ids(cfg)
    scale = params["link_mass_scale"]
    fields["body_mass"][:, links] *= scale
    fields["body_inertia"][:, links] *= scale[:, :, None]
    body, geom = model.body("payload").id, model.geom("payload").id
    mass, radius = params["payload_kg"], payload_radius_m(params["payload_kg"])
    fields["body_mass"][:, body] = mass
    fields["body_inertia"][:, body] = (0.4 * mass * radius * radius)[:, None]  # a solid ball: 2/5 m r2
    fields["geom_size"][:, geom, 0] = np.maximum(radius, 1e-3)
    fields["geom_rbound"][:, geom] = np.maximum(radius, 1e-3)


def _drive(cfg: ArmCfg, params: dict[str, Array]) -> dict[str, Array]:
    """Return the fields of joints and motors."""
    model = nominal_model(cfg.name)
    gainprm = np.repeat(model.actuator_gainprm[None], len(params["payload_kg"]), axis=0)
    gainprm[:, :, 0] *= params["actuator_gain"]
    steps = params["action_delay_steps"][:, None]
    # Half a physics step less than the whole delay: MuJoCo looks the control up by time, and from about 4 s on the
    # rounding of sums of .004 s would find the sample before the right one (tests/envs/test_physics.py).
    delay = np.where(steps > 0, steps * cfg.dt_s - 0.5 * model.opt.timestep, 0.0)
    fields = {
        "dof_damping": params["viscous_nms"],
        "dof_frictionloss": params["coulomb_nm"],
        "actuator_gainprm": gainprm,
        "actuator_delay": np.repeat(delay, cfg.n_joints, axis=1),
    }
    return fields | _wire(model, gainprm, params) if cfg.wired else fields


def _wire(model: mujoco.MjModel, gainprm: Array, params: dict[str, Array]) -> dict[str, Array]:
    """Return the fields of miswired motors: a reversed one pulls the other way, a command goes to another's motor."""
    gainprm[:, :, 0] *= 1.0 - 2.0 * params["motor_reversed"]
    driven = driven_joints(params)
    gains = np.take_along_axis(gainprm, driven[:, :, None], axis=1)
    return {"actuator_gainprm": gains, "actuator_trnid": model.actuator_trnid[driven]}


def driven_joints(params: dict[str, Array]) -> Array:
    """Return which joint, with its motor, each command drives, (N, J)."""
    swap = params["motor_swap"]
    driven = np.tile(np.arange(params["motor_reversed"].shape[1]), (len(swap), 1))
    rows = np.flatnonzero(swap >= 0)
    driven[rows, swap[rows]] += 1
    driven[rows, swap[rows] + 1] -= 1
    return driven


def write_model(model: mujoco.MjModel, data: mujoco.MjData, fields: dict[str, Array]) -> None:
    """Write one body (row 0 of the fields) over a model; the data is left in the model's default state."""
    for name, values in fields.items():
        owner = model.opt if name.startswith("opt.") else model
        getattr(owner, name.removeprefix("opt."))[...] = values[0]
    mujoco.mj_setConst(model, data)
    mujoco.mj_resetData(model, data)


def write_batch(batch: Any, ids: Array, fields: dict[str, Array]) -> None:
    """Write one body a simulation over those of a mujoco.batch.Batch.

    Args:
        batch: The batch.
        ids: Sorted numbers of the simulations, (n,).
        fields: Model fields, (n, ...).
    """
    for name, values in fields.items():
        batch.expand(name)[ids] = values
    batch.set_const(ids)
