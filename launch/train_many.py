"""Meta-train several seeds, spread over processes or by Ray: the run is the unit of work.

python -m launch.train dynamics --meta-seeds 0 1 2 --workers 2 --out runs/planar
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from agents.checkpoint import write_whole
from agents.spread import Places, spread
from launch import cli

HELP = (
    "--meta-seeds 0 1 2 trains one run a seed, each into OUT/seed-N, with --workers N processes at once, or by Ray "
    "(--ray, --ray-address); other options are those of one run."
)


class Many(NamedTuple):
    """What the command line says of all runs together, and the rest of it, which is each run's."""

    seeds: tuple[int, ...]
    places: Places
    out: Path | None
    resume: bool
    rest: tuple[str, ...]


class Run(NamedTuple):
    """One run: its command line without its folder, and the folder."""

    arguments: tuple[str, ...]
    folder: Path

    @property
    def command(self) -> list[str]:
        """The whole command line; it goes on where a killed worker left off."""
        return [*self.arguments, "--out", str(self.folder), "--resume"]


def asked(arguments: Sequence[str]) -> Many | None:
    """Return what a command line says of many runs; None: it is of one."""
    if not any(word.partition("=")[0] == "--meta-seeds" for word in arguments):
        return None
    parser = argparse.ArgumentParser("python -m launch.train", add_help=False, allow_abbrev=False)
    parser.add_argument("--meta-seeds", type=int, nargs="+")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--ray", action="store_true")
    parser.add_argument("--ray-address")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--resume", action="store_true")
    given, rest = parser.parse_known_args(arguments)
    places = Places(given.workers, given.ray, given.ray_address)
    return Many(tuple(dict.fromkeys(given.meta_seeds)), places, given.out, given.resume, tuple(rest))


def run(many: Many) -> Path:
    """Train every seed; return the folder of all runs."""
    from launch import train

    with cli.wrong_input():
        many.places.checked()
        folder = cli.run_folder(many.out, "train-many").resolve()
        runs = [Run((*many.rest, "--seed", str(seed)), folder / f"seed-{seed}") for seed in many.seeds]
        there = [each.folder.name for each in runs if any(each.folder.glob("*"))]
        if there and not many.resume:
            raise ValueError(f"{folder} holds {there}; add --resume to go on with them, or name another --out")
    for each in runs:
        train.configuration(each.command)  # wrong input ends here, once
    print(f"{len(runs)} runs on {many.places.described}", flush=True)
    for index, files in spread(train_one, runs, many.places):
        for name, content in files.items():  # another machine has a disk of its own
            write_whole(runs[index].folder / name, content)
        print(f"seed {many.seeds[index]}: done", flush=True)
    print(folder)
    return folder


def train_one(one: Run) -> dict[str, bytes]:
    """Train one run where the worker is; return the files of its folder."""
    from launch import train

    print(f"{one.folder.name}: begun", file=sys.stderr, flush=True)
    training = train.configuration(one.command)
    training.run(training.cfg)
    return {path.name: path.read_bytes() for path in one.folder.iterdir() if path.is_file()}
