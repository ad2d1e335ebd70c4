"""The worlds: families of arms whose bodies differ; ids carry the room's name, as in "envs:PhaseArm/PlanarTrack-v0"."""

import gymnasium as gym

from .models import ARMS, ArmCfg, Observation
from .tasks import Task
from .worlds import WORLDS

__all__ = ["ARMS", "WORLDS", "ArmCfg", "Observation", "Task"]

for _arm in ARMS:
    for _world in WORLDS:
        gym.register(
            id=f"PhaseArm/{_arm.capitalize()}{_world.capitalize()}-v0",
            entry_point="envs.arm:ArmEnv",
            vector_entry_point="envs.vector:ArmVectorEnv",
            kwargs={"arm": _arm, "world": _world},
        )
