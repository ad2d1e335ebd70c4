"""What every script shares: its command line, its folder, its progress bar, and how wrong input ends."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import torch
import tyro
from tqdm import tqdm

from agents.checkpoint import write_whole
from pcm_backend import read_table, register_device


def choose(
    script: str, description: str, scenarios: dict[str, Callable[..., Any]], arguments: Sequence[str] | None = None
) -> Any:
    """Return the configuration of the scenario named on the command line; wrong input ends the script.

    Args:
        script: Name in launch/.
        description: What --help says first.
        scenarios: From a scenario's name to its configuration.
        arguments: The words of the command line; None: those of this process.
    """
    with wrong_input():
        return tyro.extras.subcommand_cli_from_dict(
            scenarios,
            args=arguments,
            prog=f"python -m launch.{script}",
            description=description,
            config=(tyro.conf.OmitArgPrefixes,),
        )


@contextlib.contextmanager
def wrong_input() -> Iterator[None]:
    """End with exit code 2 and one line where what the user gave cannot be used."""
    try:
        yield
    except (ValueError, OSError) as error:
        text = " ".join(str(error).split())
        print(f"error: {text}", file=sys.stderr)
        sys.exit(2)


def run_folder(out: Path | None, name: str) -> Path:
    """Return the folder a run writes to: `out`, or a new one under runs/.

    Raises:
        ValueError: `out` is a file, or cannot be written.
    """
    folder = out or Path("runs") / f"{name}-{datetime.now():%Y%m%d-%H%M%S}-{os.getpid()}"
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"--out {folder} is a file; name a folder")
    parent = folder
    while not parent.exists():
        parent = parent.parent
    try:
        tempfile.TemporaryFile(dir=parent).close()  # asking the file system beats guessing from permissions
    except OSError as error:
        raise ValueError(f"--out {folder} cannot be written ({error.strerror}); choose a folder of yours") from error
    return folder


def memory(name: str) -> str:
    """Return the name of what the network lives on; a table of the user's own devices goes by the name of its file.

    Raises:
        OSError: The table cannot be read.
        ValueError: It is no table, or its name is that of another device.
    """
    if Path(name).suffix.lower() not in (".json", ".csv"):
        return name
    register_device(Path(name).stem, read_table(name))
    return Path(name).stem


def pick_device(name: str) -> torch.device:
    """Return torch's device for a name.

    Raises:
        ValueError: CUDA was asked for and is not there.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise ValueError("--device cuda: no CUDA device here; choose from ['auto', 'cpu']")
    return torch.device("cpu" if name == "cpu" or not torch.cuda.is_available() else "cuda")


def write_json(path: Path, content: Any) -> None:
    """Write JSON, whole or not at all."""
    write_whole(path, (json.dumps(content, indent=1) + "\n").encode())


def progress(total: int, what: str) -> tqdm:
    """Return a progress bar on standard error that stays quiet where there is no terminal."""
    return tqdm(total=total, desc=what, disable=not sys.stderr.isatty(), leave=False)


def tick(bar: tqdm, text: str) -> None:
    """Move a bar by one and say what was done."""
    bar.set_postfix_str(text)
    bar.update()


def command_line() -> str:
    """Return the command that started this process, as a person would type it."""
    module = getattr(sys.modules["__main__"], "__spec__", None)
    start = f"python -m {module.name}" if module else f"python {sys.argv[0]}"
    return " ".join([start, *sys.argv[1:]])
