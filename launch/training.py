"""What every training shares: where a run is kept, how it goes on, and the lines of its log."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from launch import cli

CHECKPOINT = "checkpoint.safetensors"


@dataclass(frozen=True)
class Kept:
    """Where a run is kept."""

    out: Path | None = None
    """Folder for checkpoint.safetensors (to resume), learner.safetensors (to deploy) and what was logged; default: a
    new one under runs/."""
    resume: bool = False
    """Go on from the checkpoint in --out, with the same settings. What may differ: of ppo and rl2 --env-steps may be
    more where the rate is constant, of trajectory all but networks and coding."""

    def folder(self, name: str) -> Path:
        """Return the run's folder; a new one is called after `name`.

        Raises:
            ValueError: It cannot be one, or it holds a run that is not to be resumed.
        """
        folder = cli.run_folder(self.out, name)
        if self.resume and self.out is None:
            raise ValueError("--resume needs --out, the folder of the run to go on with")
        if (folder / CHECKPOINT).exists() and not self.resume:
            raise ValueError(f"{folder} holds a run; add --resume to go on with it, or name another --out")
        return folder


def found_checkpoint(folder: Path) -> Path | None:
    """Return the checkpoint that a folder holds, if it holds one."""
    path = folder / CHECKPOINT
    return path if path.exists() else None


def kept_lines(log: Path, count: str, done: int) -> list[str]:
    """Return a log's lines up to where the checkpoint stands: as many of what `count` names as are done."""
    if not log.exists():
        return []
    return [line for line in log.read_text().splitlines() if json.loads(line)[count] <= done]
