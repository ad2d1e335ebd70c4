"""Write the budgets of tables that were made before the suite wrote them, from the checkpoints that are there now.

python -m launch.budgets --tables docs/results/planartrack-v0.csv.gz docs/results/planarreach-v0.csv.gz

They are those of a table only where it was made with these very checkpoints.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tyro

from agents.budget import beside, budget_lines, to_csv
from agents.checkpoint import write_whole
from agents.results import Results
from launch import cli
from launch.figures import env_of


@dataclass(frozen=True)
class Budgets:
    """The budgets of the learners and meta-seeds in tables, beside each: NAME.csv.gz has NAME.budgets.csv."""

    tables: tuple[Path, ...]
    """Tables of `evaluate dynamics --suite`, named for their family of tasks."""
    checkpoints: Path | None = None
    """Folder of checkpoints; default: the shipped ones."""


def run(cfg: Budgets) -> list[Path]:
    """Write the files; return them."""
    with cli.wrong_input():
        found = {beside(path): _content(path, cfg.checkpoints) for path in cfg.tables}
    for path, content in found.items():
        write_whole(path, content)
        print(path)
    return list(found)


def _content(table: Path, checkpoints: Path | None) -> bytes:
    results = Results.read(table)
    trained = [(key.learner, seed) for key in results.keys for seed in results.block(key).meta_seeds]
    return to_csv(budget_lines(trained, env_of(table), checkpoints))


def main() -> None:
    """Read the command line and write."""
    with cli.wrong_input():
        cfg = tyro.cli(Budgets, prog="python -m launch.budgets", description=__doc__)
    run(cfg)


if __name__ == "__main__":
    main()
