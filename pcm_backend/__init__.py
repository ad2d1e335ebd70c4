"""The chip: crossbars of phase-change memory, their devices, writes and bill."""

from .config import CrossbarCfg
from .conv import CrossbarConv2d
from .crossbar import Crossbar
from .deploy import Deployed, deploy
from .devices import DEVICES, DeviceState, FittedDevice
from .layers import CrossbarLinear
from .ledger import Ledger
from .programming import WriteReport
from .through import straight_through

__all__ = [
    "DEVICES",
    "Crossbar",
    "CrossbarCfg",
    "CrossbarConv2d",
    "CrossbarLinear",
    "Deployed",
    "DeviceState",
    "FittedDevice",
    "Ledger",
    "WriteReport",
    "deploy",
    "straight_through",
]
