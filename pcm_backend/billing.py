"""What writes and calibrations cost, booked on a ledger."""

from __future__ import annotations

import torch
from torch import Tensor

from .chip import count_cores
from .config import CrossbarCfg
from .ledger import PRODUCT_S, Ledger
from .programming import Written


def bill_write(ledger: Ledger, cfg: CrossbarCfg, written: Written) -> Tensor:
    """Book pulses, verify reads and duration of a write; return the duration, s, shape (K,).

    Assumption: the rows of a core are written one after another, the lines of a row at once (O(N) programming,
    Khaddam-Aljameh JSSC 2022, 10.1109/jssc.2022.3140414); each step is one pulse and one read of the row.
    """
    seconds = torch.zeros_like(written.sensed)
    read_s = PRODUCT_S[cfg.phases].nominal
    for spent in written.spent:
        ledger.book("devices", spent.devices)
        ledger.book("set_pulses", spent.set_pulses)
        ledger.book("reset_pulses", spent.reset_pulses)
        ledger.book(f"verify_reads_{cfg.phases}_phase", spent.reads)
        rows = (spent.steps > 0).sum(1)  # each is seen as a whole before it is pulsed
        seconds = seconds + spent.steps.sum(1) * (cfg.pulse_s + read_s) + rows * cfg.verify_reads * read_s
    for spent in written.trains:
        ledger.book("devices", spent.devices)
        ledger.book("set_pulses", spent.set_pulses)
        seconds = seconds + spent.steps.sum(1) * cfg.pulse_s  # no read between pulses
    ledger.book(f"verify_reads_{cfg.phases}_phase", written.sensed)
    ledger.book("write_s", seconds)
    return seconds


def bill_calibration(ledger: Ledger, cfg: CrossbarCfg, n_rows: int, n_lines: int, chips: Tensor | float = 1.0) -> None:
    """Book a measurement of compensation factors: every row driven alone, on the cores it crosses."""
    if cfg.compensation == "none":
        return
    products = n_rows * cfg.calibration_reads * count_cores(1, n_lines)
    ledger.book(f"calibration_products_{cfg.phases}_phase", products * chips)
