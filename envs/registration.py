"""How an arm becomes known: its file is held against its configuration, and the ids of its worlds are registered."""

from __future__ import annotations

import gymnasium as gym
import mujoco
import numpy as np

from .models import ARMS, ArmCfg, compile_arm
from .worlds import WORLDS


def register_arm(cfg: ArmCfg) -> list[str]:
    """Make an arm of one's own known; return the ids of its worlds, one for tracking and one for reaching.

    Processes that are spawned have to import the module that calls this, as with any environment of one's own.

    Raises:
        ValueError: Another arm has the name, or the file does not fit the configuration.
    """
    if ARMS.get(cfg.name, cfg) != cfg:
        raise ValueError(f"another arm is called {cfg.name!r}; there are {sorted(ARMS)}")
    _check(cfg, compile_arm(cfg))
    ARMS[cfg.name] = cfg
    return register_worlds(cfg.name)


def register_worlds(arm: str) -> list[str]:
    """Register the worlds of a known arm; return their ids."""
    ids = {world: f"PhaseArm/{arm.capitalize()}{world.capitalize()}-v0" for world in WORLDS}
    for world, env_id in ids.items():
        gym.register(
            id=env_id,
            entry_point="envs.arm:ArmEnv",
            vector_entry_point="envs.vector:ArmVectorEnv",
            kwargs={"arm": arm, "world": world},
        )
    return [f"envs:{env_id}" for env_id in ids.values()]


def _check(cfg: ArmCfg, model: mujoco.MjModel) -> None:
    """Hold a compiled file against its configuration.

    Raises:
        ValueError: Names, joints or motors are not those that bodies are written over.
    """
    names = {model.body(number).name for number in range(model.nbody)} | {
        model.site(k).name for k in range(model.nsite)
    }
    wanted = [*(f"link{number + 1}" for number in range(cfg.n_joints)), "payload", "tip"]
    if missing := [name for name in wanted if name not in names]:
        raise ValueError(f"{cfg.name}: the file has no {missing[0]!r}; it needs bodies and sites {wanted}")
    if (model.nv, model.nu) != (cfg.n_joints, cfg.n_joints):
        raise ValueError(f"{cfg.name}: {model.nv} joints and {model.nu} motors in the file, not {cfg.n_joints} of each")
    limits = np.array([cfg.q_min_rad, cfg.q_max_rad]).T
    if not np.allclose(model.jnt_range, limits, atol=1e-3):
        raise ValueError(
            f"{cfg.name}: joint limits in the file {model.jnt_range.round(3).tolist()} rad, "
            f"not {limits.tolist()}; is it written in degrees?"
        )
    if model.opt.timestep * cfg.frame_skip != cfg.dt_s or (model.actuator_history[:, 0] < HISTORY).any():
        raise ValueError(f"{cfg.name}: timestep must be {cfg.dt_s / cfg.frame_skip} s, nsample {HISTORY} or more")


HISTORY = 22  # physics steps that a motor remembers: two control steps of .04 s, and the ends
