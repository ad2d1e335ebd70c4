"""The chip: crossbars of phase-change memory, their devices, writes and bill."""

from .config import CrossbarCfg
from .crossbar import Crossbar
from .devices import DEVICES, DeviceState, FittedDevice
from .layers import CrossbarLinear, Deployed, deploy
from .ledger import Ledger
from .programming import WriteReport

__all__ = [
    "DEVICES",
    "Crossbar",
    "CrossbarCfg",
    "CrossbarLinear",
    "Deployed",
    "DeviceState",
    "FittedDevice",
    "Ledger",
    "WriteReport",
    "deploy",
]
