"""The worlds: families of arms whose bodies differ; ids carry the room's name, as in "envs:PhaseArm/PlanarTrack-v0"."""

import gymnasium as gym

from .models import ARMS, ArmCfg, Observation
from .tasks import Task

__all__ = ["ARMS", "ArmCfg", "Observation", "Task"]

for _arm in ARMS:
    gym.register(
        id=f"PhaseArm/{_arm.capitalize()}Track-v0",
        entry_point="envs.arm:ArmEnv",
        vector_entry_point="envs.vector:ArmVectorEnv",
        kwargs={"arm": _arm},
    )
