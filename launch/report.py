"""The page of a run: one self-contained HTML file with videos, figures and the bill inside."""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from agents.checkpoint import write_whole
from launch.plots import Series, adaptation_curve, conductance_maps

TEMPLATES = Path(__file__).parent / "templates"
PREFIXES = ("f", "p", "n", "µ", "m", "", "k", "M", "G")  # of 1e-15, 1e-12, ... 1e9


@dataclass(frozen=True)
class Outcome:
    """What the lessons did to one arm."""

    before_rad: float
    """Error of the episode before any lesson."""
    after_rad: float
    """Error of the episode after the last lesson."""
    oracle_rad: float
    """Error of the computed torque that knows the body, in the same last episode."""
    lessons: int
    """Number of lessons."""
    motion_s: float
    """Motion that the lessons were learned from, s."""
    devices_written: float
    """Devices that the lessons pulsed, once for each lesson that pulsed them."""
    energy_j: float
    """Energy of all reads and writes of the lessons, J."""

    @property
    def sentence(self) -> str:
        """The finding in one sentence."""
        cost = f"{self.motion_s:g} s of motion, {self.devices_written:,.0f} device writes, {self.energy_j * 1e6:.3g} uJ"
        return (
            f"Before any lesson the arm misses by {self.before_rad:.3f} rad; after {self.lessons} lessons ({cost}) by "
            f"{self.after_rad:.3f}; perfect knowledge of its body would give {self.oracle_rad:.3f}."
        )


@dataclass(frozen=True)
class HiddenItem:
    """One quantity of the body that the policy was not told."""

    name: str
    """What it is, as in "payload"."""
    value: str
    """Its value on this body with its unit, as in "1.2 kg"."""
    nominal: str
    """The same on the nominal arm."""
    comment: str = ""
    """What it means for the arm."""


@dataclass(frozen=True)
class BillLine:
    """What one part of the run cost on the chip."""

    part: str
    """What was done, as in "five lessons: writes"."""
    products: float
    """Products of 256 x 256."""
    devices: float
    """Physical devices that received a pulse."""
    pulses: float
    """Pulses."""
    energy_j: tuple[float, float, float]
    """Energy at the low, nominal and high constants, J."""
    seconds: float
    """Time on the chip if everything happens one after the other, s."""
    verify_reads: float = 0.0
    """Reads of single cells by writes."""


@dataclass(frozen=True)
class ReportData:
    """Everything on the page."""

    title: str
    """Where and on what, as in "PlanarTrack on hermes_2"."""
    outcome: Outcome
    """The finding."""
    before_mp4: Path
    """Video of the episode before any lesson."""
    after_mp4: Path
    """Video of the episode after the last; the same reference, as long as the first."""
    filmed_rad: tuple[float, float]
    """Errors of the two episodes that were filmed."""
    curve: Sequence[Series]
    """Errors after 0, 1, ... lessons."""
    curve_note: str
    """What was averaged for the curve, and what its intervals resample."""
    hidden: Sequence[HiddenItem]
    """The body of the videos."""
    head_before_us: Any
    """Differential conductances of the head before any lesson (outputs, features), microsiemens."""
    head_after_us: Any
    """The same after the last."""
    bill: Sequence[BillLine]
    """The bill, its last line the total."""
    assumptions: Sequence[str]
    """What the bill assumes and where its constants come from, a sentence each."""
    command: str
    """The command that made the page."""
    facts: Sequence[tuple[str, str]]
    """Seed, versions, drawing backend, memory, chips, ...: names and values."""
    output_names: Sequence[str] | None = None
    """Names of the head's outputs; default: their numbers."""
    log_curve: bool = False
    """Whether the curve's error axis is logarithmic."""


def write_report(path: Path, report: ReportData) -> None:
    """Write the page, whole or not at all; nothing on it is fetched from elsewhere.

    Args:
        path: The HTML file.
        report: Its content.

    Raises:
        ValueError: A video is missing, or figures do not fit together.
    """
    page = _environment().get_template("report.html.j2").render(
        report=report,
        before=_data_uri(report.before_mp4),
        after=_data_uri(report.after_mp4),
        curve=Markup(adaptation_curve(report.curve, log=report.log_curve)),
        maps=Markup(conductance_maps(report.head_before_us, report.head_after_us, report.output_names)),
    )  # fmt: skip
    write_whole(Path(path), page.encode())


def quantity(value: float, unit: str) -> str:
    """Return a value with three digits and a prefix, as in "1.20 µJ"."""
    if value == 0.0 or not math.isfinite(value):
        return f"{value:g} {unit}"
    power = min(max(math.floor(math.log10(abs(value)) / 3 + 1e-12), -5), 3)
    scaled = value / 1000.0**power
    if abs(scaled) >= 999.5 and power < 3:  # would be rounded to 1000 of the smaller unit
        scaled, power = scaled / 1000.0, power + 1
    digits = 2 if abs(scaled) < 9.995 else 1 if abs(scaled) < 99.95 else 0
    return f"{scaled:.{digits}f} {PREFIXES[power + 5]}{unit}"


def count(value: float) -> str:
    """Return a count with separators, as in "12,345"."""
    return f"{value:,.0f}"


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters.update(quantity=quantity, count=count)
    return environment


def _data_uri(path: Path) -> str:
    """Return a video's content as an address."""
    if not Path(path).is_file():
        raise ValueError(f"no video at {path}; write it with envs.video.write_mp4 first")
    return "data:video/mp4;base64," + base64.b64encode(Path(path).read_bytes()).decode()
