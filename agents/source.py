"""Which code made a result: a SHA-256 over the source of the rooms that a result comes from, and over the libraries."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path

import envs
import pcm_backend

ENDINGS = (".py", ".cpp", ".h", ".xml")
"""Modules, native kernels with their headers, and the arms' models."""
LIBRARIES = ("torch", "numpy", "mujoco")
"""Whose arithmetic the numbers come from: another version may round otherwise."""


@functools.cache
def source_sha256() -> str:
    """Return the fingerprint of `envs`, `pcm_backend` and `agents` as this process found them when it first asked."""
    rooms = (Path(module.__path__[0]) for module in (envs, pcm_backend))
    return fingerprint([*rooms, Path(__file__).parent], versions())


def versions() -> dict[str, str]:
    """Return the installed version of each library; a build's own tag, such as +cpu, is part of it."""
    return {name: version(name) for name in LIBRARIES}


def fingerprint(folders: Iterable[Path], libraries: Mapping[str, str]) -> str:
    """Return a SHA-256 over the source files in folders and the libraries that they run on.

    Args:
        folders: Names and bytes of what is in them count, not where they lie.
        libraries: Versions by name.
    """
    total = hashlib.sha256()
    for name, number in sorted(libraries.items()):
        total.update(f"{name}=={number}\n".encode())
    for folder in folders:
        for path in sorted(path for path in folder.rglob("*") if path.suffix in ENDINGS):
            content = path.read_bytes()
            total.update(f"{folder.name}/{path.relative_to(folder).as_posix()} {len(content)}\n".encode())
            total.update(content)
    return total.hexdigest()
