"""Which code made a result: a SHA-256 over the source of the rooms that a result comes from."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable
from pathlib import Path

import envs
import pcm_backend

ENDINGS = (".py", ".cpp", ".h", ".xml")
"""Modules, native kernels with their headers, and the arms' models."""


@functools.cache
def source_sha256() -> str:
    """Return the fingerprint of `envs`, `pcm_backend` and `agents` as this process found them when it first asked."""
    rooms = (Path(module.__path__[0]) for module in (envs, pcm_backend))
    return fingerprint([*rooms, Path(__file__).parent])


def fingerprint(folders: Iterable[Path]) -> str:
    """Return a SHA-256 over the names and bytes of the source files in folders, wherever the folders lie."""
    total = hashlib.sha256()
    for folder in folders:
        for path in sorted(path for path in folder.rglob("*") if path.suffix in ENDINGS):
            content = path.read_bytes()
            total.update(f"{folder.name}/{path.relative_to(folder).as_posix()} {len(content)}\n".encode())
            total.update(content)
    return total.hexdigest()
