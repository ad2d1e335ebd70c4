"""The chip: crossbars of phase-change memory, their devices, writes and bill."""

from .aware import hardware_aware, without_hardware
from .config import CrossbarCfg
from .conv import CrossbarConv2d
from .crossbar import Crossbar
from .deploy import Deployed, deploy
from .devices import DEVICES, DeviceState, FittedDevice, register_device
from .faults import FaultCfg
from .fit import Fit
from .gdp import GdpCfg
from .layers import CrossbarLinear
from .ledger import Ledger
from .looks import LooksCfg
from .periphery import PERIPHERIES, PeripheryCfg
from .recurrent import CrossbarGRU, CrossbarLSTM
from .report import WriteReport
from .spiking import CrossbarSpiking
from .tables import TableFit, read_table
from .through import straight_through
from .updates import UpdateCfg

__all__ = [
    "DEVICES",
    "PERIPHERIES",
    "Crossbar",
    "CrossbarCfg",
    "CrossbarConv2d",
    "CrossbarGRU",
    "CrossbarLSTM",
    "CrossbarLinear",
    "CrossbarSpiking",
    "Deployed",
    "DeviceState",
    "FaultCfg",
    "Fit",
    "FittedDevice",
    "GdpCfg",
    "Ledger",
    "LooksCfg",
    "PeripheryCfg",
    "TableFit",
    "UpdateCfg",
    "WriteReport",
    "deploy",
    "hardware_aware",
    "read_table",
    "register_device",
    "straight_through",
    "without_hardware",
]
