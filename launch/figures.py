"""Redraw every figure from a table of results alone.

python -m launch.figures --table docs/results/planartrack-v0.csv.gz --out docs/results/planartrack-v0
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import gymnasium as gym
import matplotlib as mpl
import tyro

from agents.budget import beside
from agents.checkpoint import write_whole
from agents.results import Results
from launch import cli
from launch.figure_curves import adaptation, midlife
from launch.figure_style import LOOK, Drawn, MissingError, write_png
from launch.figure_summary import markdown, summary
from launch.figure_sweeps import age, noise_and_bits, sensitivity
from launch.figure_versus import bands, improvements, pareto, profiles
from launch.figure_view import View

FIGURES: dict[str, Callable[[View], Drawn]] = {
    "adaptation": adaptation,
    "pareto": pareto,
    "bands": bands,
    "profiles": profiles,
    "improvement": improvements,
    "noise_and_bits": noise_and_bits,
    "age": age,
    "midlife": midlife,
    "sensitivity": sensitivity,
}


@dataclass(frozen=True)
class Figures:
    """Every figure and the summary of one table of results."""

    table: Path
    """Table of `evaluate dynamics --suite`, a .csv.gz."""
    out: Path | None = None
    """Folder for the PNG files, figures.md, summary.md and metrics.json; default: a new one under runs/."""
    env: str | None = None
    """Registered id of the table's family of tasks; default: what the suite noted beside it,
    or read off the file's name, as in planartrack-v0.csv.gz."""
    memory: str = "hermes_2"
    """The chip that is shown; learners without rows on it are shown in software."""
    only: tuple[str, ...] = ()
    """Figures to draw; default: all."""

    def __post_init__(self) -> None:
        """Refuse unknown figures."""
        for name in self.only:
            if name not in FIGURES:
                raise ValueError(f"unknown figure {name!r}; choose from {list(FIGURES)}")


def run(cfg: Figures) -> Path:
    """Draw what the table has rows for, say what is skipped and why; return the folder."""
    with cli.wrong_input():
        view = View.of(Results.read(cfg.table), cfg.table, cfg.env or env_of(cfg.table), cfg.memory)
        folder = cli.run_folder(cfg.out, "figures")
        rows = summary(view)
    digest = hashlib.sha256(cfg.table.read_bytes()).hexdigest()
    head = {"env": view.env, "command": cli.command_line(), "table_sha256": digest}
    mention_missing_budgets(cfg.table)
    text = markdown(view, rows)
    write_whole(folder / "summary.md", text.encode())
    cli.write_json(folder / "metrics.json", head | {"rows": rows})
    print(text)
    captions = []
    for name in cfg.only or FIGURES:
        try:
            with mpl.rc_context(LOOK):
                drawn = FIGURES[name](view)
        except MissingError as missing:
            print(f"skipped {name}: {missing}")
            continue
        path = write_png(drawn, folder)
        captions.append(f"## {name.replace('_', ' ')}\n\n![{name}]({path.name})\n\n{drawn.caption}\n")
    title = f"# Figures of {cfg.table.name}\n\n    {head['command']}\n\n"
    write_whole(folder / "figures.md", (title + "\n".join(captions)).encode())
    print(folder)
    return folder


def mention_missing_budgets(table: Path) -> None:
    """Say where a table has no budgets beside it: then the trainings' environment steps stay empty."""
    if not beside(table).is_file():
        print(
            f"no {beside(table).name} beside {table.name}: environment steps are left out; see python -m launch.budgets"
        )


def env_of(table: Path) -> str:
    """Return the registered id that a table is named for, or that the suite noted beside it.

    Raises:
        ValueError: Neither says.
    """
    note = table.parent / "suite.json"
    if note.is_file():
        return json.loads(note.read_text())["env"]
    known = sorted(f"envs:{name}" for name in gym.registry if name.startswith("PhaseArm/"))
    for env_id in known:
        if env_id.rsplit("/", maxsplit=1)[-1].lower() in table.name.lower():
            return env_id
    raise ValueError(f"{table.name} is named for no family of tasks; give --env, one of {known}")


def main() -> None:
    """Read the command line and draw."""
    with cli.wrong_input():
        cfg = tyro.cli(Figures, prog="python -m launch.figures", description=__doc__)
    run(cfg)


if __name__ == "__main__":
    main()
