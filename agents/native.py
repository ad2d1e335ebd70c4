"""The inner loops of `spiking_kernels.cpp`, compiled once for this processor; where that fails, torch does the work."""

from __future__ import annotations

import ctypes
import functools
import itertools
import os
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pcm_backend.native import load

_SOURCE = Path(__file__).with_name("spiking_kernels.cpp")


@functools.cache
def kernels() -> ctypes.CDLL | None:
    """Return the compiled loops, or None where there is no C++ compiler or PHASEARM_NATIVE is 0."""
    if os.environ.get("PHASEARM_NATIVE") == "0":
        return None
    try:
        return load("spiking", [_SOURCE])
    except (OSError, subprocess.SubprocessError):
        return None


@functools.cache
def _pool(n_threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(n_threads)


def split(function: Callable[..., Any], arguments: tuple[Any, ...], total: int) -> None:
    """Call a loop for 0 to `total`, shared out over torch's threads; loops hold no lock on the interpreter."""
    n_threads = min(torch.get_num_threads(), total)
    ready = [ctypes.c_void_p(a.data_ptr()) if isinstance(a, Tensor) else _number(a) for a in arguments]
    bounds = [total * k // n_threads for k in range(n_threads + 1)]
    ranges = [(ctypes.c_int64(a), ctypes.c_int64(b)) for a, b in itertools.pairwise(bounds)]
    if n_threads == 1:
        function(*ready, *ranges[0])
        return
    for done in [_pool(n_threads).submit(function, *ready, *part) for part in ranges]:
        done.result()


def _number(value: Any) -> Any:
    if value is None:
        return ctypes.c_void_p(None)
    return ctypes.c_float(value) if isinstance(value, float) else ctypes.c_int64(value)


def usable(*tensors: Tensor) -> ctypes.CDLL | None:
    """Return the compiled loops if they can work on these tensors: float32, on the CPU."""
    fits = all(t.dtype == torch.float32 and t.device.type == "cpu" for t in tensors)
    return kernels() if fits else None
