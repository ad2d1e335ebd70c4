"""The worlds: families of arms whose bodies differ; ids carry the room's name, as in "envs:PhaseArm/PlanarTrack-v0"."""

from .models import ARMS, ArmCfg, Observation
from .registration import register_arm, register_worlds
from .tasks import Task
from .workspace import Workspace
from .worlds import WORLDS

__all__ = ["ARMS", "WORLDS", "ArmCfg", "Observation", "Task", "Workspace", "register_arm"]


for _arm in ARMS:
    register_worlds(_arm)
