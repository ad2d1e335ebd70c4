"""Energy and time of adapting: the chip by its ledger against the same arithmetic on this processor.

python -m launch.energy --env envs:PhaseArm/PlanarTrack-v0 --watts 10
"""

from __future__ import annotations

import csv
import io
import platform
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import torch
import tyro

from agents.checkpoint import write_whole
from agents.energy import Meter, Prices, chip_prices, processor_prices
from agents.evaluation import Arena, EvaluationCfg
from agents.shipped import load_shipped, shipped_path
from envs.tracking import TRACK
from launch import cli
from launch.figure_style import LOOK, SOFT, Drawn, grid, new_figure, write_png
from launch.report import quantity

COLUMNS = ("what", "where", "energy_low_j", "energy_j", "energy_high_j", "seconds", "source")
COLOURS = ("#d55e00", "#0072b2", "#56b4e9")


@dataclass(frozen=True)
class Energy:
    """Energy and time of a control step, a lesson, and all of adapting, for one arm."""

    env: str = "envs:PhaseArm/PlanarTrack-v0"
    """Registered id of the family of tasks."""
    chips: int = 8
    """Chips of hermes_2 whose ledgers are read."""
    tasks: int = 8
    """Held-out bodies; every chip meets all of them."""
    lessons: int = 5
    """Lessons of adapting, one after each episode."""
    arms: int = 256
    """Arms that the processor serves at once where it is used best."""
    watts: float = 10.0
    """Power of one busy core, W: an assumption, used where the processor does not count its energy (RAPL)."""
    measure_s: float = 0.2
    """Length of one measurement of the processor, s of CPU time."""
    seed: int = 0
    """Seed of bodies, references, starts, sensors and chips."""
    out: Path | None = None
    """Folder for energy.csv, energy.png, energy.md and metrics.json; default: a new one under runs/."""

    def __post_init__(self) -> None:
        """Refuse what gives no energy."""
        for name in ("watts", "measure_s"):
            if not getattr(self, name) > 0:
                raise ValueError(f"--{name.replace('_', '-')} must be positive, got {getattr(self, name)}")
        if self.arms < 1:
            raise ValueError(f"--arms must be at least 1, got {self.arms}")


def run(cfg: Energy) -> Path:
    """Measure, print the table, write the folder; return it."""
    with cli.wrong_input():
        folder = cli.run_folder(cfg.out, "energy")
        arena = Arena(EvaluationCfg(cfg.env, cfg.chips, cfg.tasks, cfg.lessons, cfg.seed), "in_range")
        shipped = load_shipped(shipped_path(cfg.env), cfg.env)
    torch.set_num_threads(1)  # power is stated a core
    n_steps, meter = TRACK.n_steps, Meter(cfg.watts, least_s=cfg.measure_s)
    found = {
        arena.cfg.chip.memory: chip_prices(arena, shipped, n_steps),
        "processor, one arm": processor_prices(shipped.learner, 1, n_steps, meter),
        f"processor, {cfg.arms} arms at once": processor_prices(shipped.learner, cfg.arms, n_steps, meter),
    }
    rows = table(cfg, found, n_steps, meter.source)
    with mpl.rc_context(LOOK):
        drawn = Drawn("energy", draw(rows), caption(cfg, n_steps, meter.source))
    write_png(drawn, folder)
    numbers = [dict(zip(COLUMNS, row, strict=True)) for row in rows]
    cli.write_json(folder / "metrics.json", {"env": cfg.env, "command": cli.command_line(), "rows": numbers})
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([COLUMNS, *rows])
    write_whole(folder / "energy.csv", text.getvalue().encode())
    page = f"# Energy and time of adapting\n\n    {cli.command_line()}\n\n![energy](energy.png)\n\n{drawn.caption}\n"
    write_whole(folder / "energy.md", page.encode())
    for what, where, _, nominal, _, seconds, _ in rows:
        print(f"{what:<44} {where:<28} {quantity(float(nominal), 'J'):>10} {quantity(float(seconds), 's'):>10}")
    print(folder)
    return folder


def table(cfg: Energy, found: dict[str, Prices], n_steps: int, source: str) -> list[tuple[str, ...]]:
    """Return the rows of energy.csv."""
    rows = []
    for what in ("control step", "lesson", f"adapting: {cfg.lessons} episodes and lessons"):
        for number, (where, prices) in enumerate(found.items()):
            one = {"control step": prices.step, "lesson": prices.lesson}.get(what, prices.life(n_steps, cfg.lessons))
            numbers = (f"{value:.4g}" for value in (*one.energy_j, one.seconds))
            rows.append((what, where, *numbers, "ledger" if number == 0 else source))
    return rows


def draw(rows: list[tuple[str, ...]]) -> mpl.figure.Figure:  # type: ignore[name-defined]
    """Return the figure: energies left, times right, one group of marks for each thing done."""
    whats = list(dict.fromkeys(row[0] for row in rows))
    wheres = list(dict.fromkeys(row[1] for row in rows))
    figure = new_figure(11.0, 4.4)
    for place, (column, unit, label) in enumerate(((3, "J", "energy [J]"), (5, "s", "time, one after the other [s]"))):
        axes = figure.add_axes((0.17 + 0.43 * place, 0.13, 0.34, 0.74))
        for row in rows:
            where, value = wheres.index(row[1]), float(row[column])
            y = -whats.index(row[0]) - 0.27 * (where - 1)
            if unit == "J":
                axes.plot([float(row[2]), float(row[4])], [y, y], color=COLOURS[where], linewidth=2.2, alpha=0.6)
            axes.plot(value, y, "osD"[where], color=COLOURS[where], markersize=7)
            axes.annotate(
                quantity(value, unit), (value, y), (9, 0), textcoords="offset points", va="center", color=SOFT,
                fontsize=9,
            )  # fmt: skip
        axes.set_xscale("log")
        axes.margins(x=0.22)
        axes.set_yticks(
            [-k for k in range(len(whats))], [what.replace(": ", ":\n") for what in whats] if not place else []
        )
        axes.set_ylim(0.5 - len(whats), 0.5)
        axes.set_xlabel(label)
        grid(axes, "x")
    for number, where in enumerate(wheres):
        figure.text(0.17 + 0.22 * number, 0.93, where, color=COLOURS[number], fontweight="bold")
    return figure


def caption(cfg: Energy, n_steps: int, source: str) -> str:
    """Return what is and what is not counted."""
    return (
        f"{cfg.env}, one arm: a control step reads the network once; a lesson reads it for the {n_steps} steps of an "
        f"episode again and writes the head; adapting is {cfg.lessons} episodes and lessons. Chip: means of "
        f"{cfg.chips} chips x {cfg.tasks} bodies; products of 256 x 256 (a smaller layer costs a whole one for each "
        "core it lies on), verify reads and pulses, with low and high constants as a bar. "
        f"Processor: {processor()}, one thread, float32, the same matrices, tanh and "
        f"increment, the least of five measurements of CPU time; joules are {source}. Not counted on the chip: digital "
        "work (tanh, scaling, outer products and their sum, control), moving data, and programming it once. Not "
        "counted on the processor: memory, the rest of the machine, programming. Counted on neither: encoding "
        "the observation, the law from error to wanted acceleration, the arm."
    )


def processor() -> str:
    """Return the name of this machine's processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())


def main() -> None:
    """Read the command line and measure."""
    with cli.wrong_input():
        cfg = tyro.cli(Energy, prog="python -m launch.energy", description=__doc__)
    run(cfg)


if __name__ == "__main__":
    main()
