"""Measure what programming takes on the pulse-level devices, and hold its error against the fit of the chip.

python -m launch.pulses                              a new folder under runs/
python -m launch.pulses --out docs/pulses            the page and figure of the docs
"""

from __future__ import annotations

import dataclasses
import io
import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import matplotlib as mpl
import torch
import tyro
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

from agents.checkpoint import write_whole
from launch import cli
from launch.plots import LOOK
from pcm_backend.pulse_device import HERMES_PAIR, HERMES_SINGLE, PulsedDevice
from pcm_backend.pulse_statistics import histogram

DEVICES = {"hermes_2_pulses": HERMES_PAIR, "hermes_1_pulses": HERMES_SINGLE}
LATER_S = 60.0
"""When the conductance is held against its target, after the loop."""


@dataclass(frozen=True)
class Pulses:
    """Program and verify conductances at targets all over the range, from devices of unknown state."""

    device: Literal["hermes_2_pulses", "hermes_1_pulses"] = "hermes_2_pulses"
    """Two physical devices in a conductance, or one."""
    cells: int = 100_000
    """Conductances, uniform over .05 to 1 of the range."""
    bins: int = 10
    """Bins of target in the table."""
    seed: int = 0
    """Seed of targets and noise."""
    out: Path | None = None
    """Folder for metrics.json, README.md and the figure; default: a new one under runs/."""

    def __post_init__(self) -> None:
        """Refuse what leaves a bin empty."""
        if self.bins < 1 or self.cells < 100 * self.bins:
            raise ValueError(f"--cells must be at least 100 for each of --bins, got {self.cells} and {self.bins}")


class Row(NamedTuple):
    """One bin of target."""

    low: float
    """Lower end over the largest conductance."""
    high: float
    """Upper end."""
    bias_us: float
    """Mean of (conductance after a minute - target)."""
    error_us: float
    """Its standard deviation."""
    fitted_us: float
    """Programming error of the fit."""
    converged: float
    """Share of conductances."""
    set_pulses: float
    """Mean number for a conductance."""
    reset_pulses: float
    """The same, whole and partial."""


def measure(device: PulsedDevice, cfg: Pulses) -> list[Row]:
    """Program once and return what became of it in every bin of target."""
    generator = torch.Generator().manual_seed(cfg.seed)
    ghat = 0.05 + 0.95 * torch.rand(cfg.cells, generator=generator)
    target_us = ghat * device.g_max_us
    state, counts = device.program_counted(target_us, generator)
    error_us = device.conductance(state, LATER_S) - target_us
    ends = torch.linspace(0.05, 1.0, cfg.bins + 1).tolist()
    rows = []
    for low, high in itertools.pairwise(ends):
        here = (ghat >= low) & (ghat <= high)
        fitted_us = device.fit.programming_sigma_us(ghat[here]).square().mean().sqrt()
        numbers = [error_us[here].mean(), error_us[here].std(), fitted_us]
        numbers += [each[here].float().mean() for each in (counts.converged, counts.set_pulses, counts.reset_pulses)]
        rows.append(Row(low, high, *(float(each) for each in numbers)))
    return rows


def table(rows: list[Row]) -> str:
    """Return the table for people, in Markdown."""
    lines = [
        "| target over g_max | error after 60 s [uS] | the fit's [uS] | ratio | mean [uS] | converged | SET | RESET |",
        "|---" * 8 + "|",
    ]
    for row in rows:
        ratio = row.error_us / row.fitted_us
        lines.append(
            f"| {row.low:.3f} to {row.high:.3f} | {row.error_us:.3f} | {row.fitted_us:.3f} | {ratio:.3f} | "
            f"{row.bias_us:+.3f} | {row.converged:.2%} | {row.set_pulses:.1f} | {row.reset_pulses:.1f} |"
        )
    return "\n".join(lines)


def page(cfg: Pulses, rows: list[Row]) -> str:
    """Return the page that stands beside the figure."""
    converged = sum(row.converged for row in rows) / len(rows)
    constants = dataclasses.asdict(DEVICES[cfg.device].cfg)
    listed = "\n".join(f"- `{name}`: {value:.4g}" for name, value in constants.items())
    return f"""# What programming takes: {cfg.device}

Made by `{cli.command_line()}`: {cfg.cells} conductances of {DEVICES[cfg.device].n_physical} physical devices each,
programmed and verified from devices of unknown state; {converged:.2%} converge within 30 iterations. The error is the
standard deviation of (conductance 60 s after the loop - target); `pcm_backend/pulse_device.py` says what 60 s means.

{table(rows)}

![Pulses of a physical device, by target](pulses.png)

Constants (`pcm_backend/pulses.py` gives the source of each, or says that it is fitted):

{listed}
"""


def draw(shares: Tensor, name: str, path: Path) -> None:
    """Write a PNG of the histogram of pulses against target, with its mean as a line."""
    (n_bins, n_pulses), n_physical = shares.shape, DEVICES[name].n_physical
    with mpl.rc_context(LOOK):
        figure = Figure(figsize=(8.6, 4.3), layout="constrained")
        axes = figure.subplots()
        extent = (0.0, 1.0, -0.5 / n_physical, (n_pulses - 0.5) / n_physical)
        values = 100 * shares.T.numpy()
        shown = axes.imshow(values, origin="lower", aspect="auto", extent=extent, cmap="Greys", interpolation="none")
        mean = (shares @ torch.arange(n_pulses, dtype=shares.dtype) / n_physical).tolist()
        axes.plot([(index + 0.5) / n_bins for index in range(n_bins)], mean, color="#d55e00", linewidth=2.2)
        axes.set_xlabel("target over the largest conductance")
        axes.set_ylabel("pulses of a physical device" + (", mean of both" if n_physical == 2 else ""))
        axes.set_title(f"{name}: pulses by target; line: their mean")
        bar = figure.colorbar(shown, ax=axes)
        bar.set_label("share of the conductances [%]")
        bar.outline.set_visible(False)  # type: ignore[operator]
        shown.set_clim(0, 25)
        picture = io.BytesIO()
        FigureCanvasAgg(figure).print_png(picture)
    write_whole(path, picture.getvalue())


def run(cfg: Pulses) -> Path:
    """Measure, print the table, write the folder; return it."""
    with cli.wrong_input():
        folder = cli.run_folder(cfg.out, "pulses")
    device = DEVICES[cfg.device]
    rows = measure(device, cfg)
    own = dataclasses.asdict(cfg) | {"out": str(folder)}
    metrics = {"command": cli.command_line(), "config": own, "rows": [row._asdict() for row in rows]}
    cli.write_json(folder / "metrics.json", metrics)
    draw(histogram(device, 5000, cfg.seed), cfg.device, folder / "pulses.png")
    write_whole(folder / "README.md", page(cfg, rows).encode())
    print(table(rows))
    print(folder)
    return folder


if __name__ == "__main__":
    with cli.wrong_input():
        wanted = tyro.cli(Pulses, prog="python -m launch.pulses", description=__doc__)
    run(wanted)
