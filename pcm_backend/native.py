"""The kernels in C++: built by the machine's own compiler at first use, kept per user, called with raw pointers.

Every kernel has a plain torch version that gives the same; without a compiler, on another device than a CPU, or with
`PHASEARM_NATIVE=0` that one runs. The sources include no torch header, so a build takes some seconds, where
`torch.utils.cpp_extension` needs ninja and half a minute and waits for ever on the lock of a process that was killed.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor

_TYPES = {
    "p": ctypes.c_void_p,
    "q": ctypes.c_int64,
    "Q": ctypes.c_uint64,
    "I": ctypes.c_uint32,
    "i": ctypes.c_int32,
    "f": ctypes.c_float,
}
_READER = "pqffq"  # q, its intervals, intervals in a microsiemens, since_start, noise
_FITS = "pqf"
_AGED = "ppppq"  # g, nu, places of the moments, growth, moments
_KERNELS = {
    "philox_block": "ppQ",
    "dense_normal": "ppqqqQI",
    "sparse_normal": "ppppqQI",
    "slot_counts": "ppqqq",
    "verify_cells": "p" * 10 + "qQIpI",
    "drive": "pppqqqqfff",
    "products": "pppppqqqq",
    "spike_sums": "ppppqqqq",
    "finish": "pppqppppQqqqqqfq",
    "program_all": f"ppqppq{_FITS}{_READER}qpQqqqqpf",
    "program_list": f"pppippp{_FITS}qpQpppq",
    "moments_list": f"pp{_AGED}{_READER}ppq",
    "write_cells": f"pppipq{_READER}{_FITS}qppppqqqqqfffqpppppqqpppppp",
    "move_sums": "ppppppq",
    "count_nonzero": "ppqq",
    "find_nonzero": "pppppppqqq",
    "view": f"ppq{_AGED}{_READER}pqqqqqq",
    "line_sums": f"ppqqpq{_AGED}{_READER}qqq",
}
"""Every kernel and the types of its arguments: p a tensor's `data_ptr()`, the rest as in the module `struct`."""
_WORK_OF_A_THREAD = 1 << 18
_SOURCES = Path(__file__).parent / "kernels"
# Not -ffast-math or -funsafe-math-optimizations: linked with either, a library makes the process flush denormals.
_FLAGS = (
    *("-O3", "-march=native", "-std=c++17", "-shared", "-fPIC", "-fno-math-errno", "-fno-trapping-math"),
    *("-fno-signed-zeros", "-fassociative-math", "-freciprocal-math", "-ffp-contract=fast"),
    *(("-mprefer-vector-width=512",) if platform.machine() in ("x86_64", "AMD64") else ()),
)


@functools.cache
def library() -> ctypes.CDLL | None:
    """Return the kernels; None where they are switched off or cannot be built (one warning says why)."""
    if os.environ.get("PHASEARM_NATIVE", "1") == "0":
        return None
    try:
        return _declared(load("kernels", sorted(_SOURCES.iterdir())))
    except (OSError, subprocess.SubprocessError) as error:
        lines = (getattr(error, "stderr", "") or str(error)).strip().splitlines()
        warnings.warn(f"no native kernels, plain torch instead: {lines[0] if lines else error!r}", stacklevel=2)
        return None


def load(name: str, files: Sequence[Path]) -> ctypes.CDLL:
    """Return a library of C++ sources, built at first use.

    Args:
        name: What its file in the cache is called.
        files: Sources (.cpp) and the headers they include.

    Raises:
        OSError: There is no compiler, or no folder that can be written.
        subprocess.SubprocessError: The compiler failed.
    """
    return ctypes.CDLL(str(_built(name, files)))


def spread(call: Callable[[int, int], object], n: int, work: int) -> None:
    """Call a kernel for all of n rows that do not touch each other, by as many threads as torch has.

    A row comes out the same however they are spread.

    Args:
        call: Takes the first row and the end of a range.
        n: Rows.
        work: Numbers that are worked out in all.
    """
    threads = min(torch.get_num_threads(), n, work // _WORK_OF_A_THREAD)
    if threads <= 1:
        call(0, n)
        return
    ranges = pairwise(n * thread // threads for thread in range(threads + 1))
    for _ in _threads().map(lambda ends: call(*ends), ranges):
        pass


@functools.cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=os.cpu_count(), thread_name_prefix="kernels")


if hasattr(os, "register_at_fork"):  # threads do not survive a fork
    os.register_at_fork(after_in_child=_threads.cache_clear)


def usable(*tensors: Tensor) -> ctypes.CDLL | None:
    """Return the kernels if these tensors are theirs: on the CPU and contiguous."""
    if any(each.device.type != "cpu" or not each.is_contiguous() for each in tensors):
        return None
    return library()


def cache_folder() -> Path:
    """Return where this user's builds are kept."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "phasearm"


def _declared(kernels: ctypes.CDLL) -> ctypes.CDLL:
    for name, types in _KERNELS.items():
        function = getattr(kernels, name)
        function.argtypes, function.restype = [_TYPES[each] for each in types], None
    kernels.drive.restype = ctypes.c_int64
    return kernels


@functools.cache
def multiplies_halves() -> bool:
    """Return whether this processor has matrix units for bfloat16, by which torch multiplies several times faster."""
    return "amx_bf16" in _cpu_flags()


def _built(name: str, files: Sequence[Path]) -> Path:
    """Build once for these sources, compiler and processor; a rename makes it appear whole, whoever builds first."""
    compiler = os.environ.get("CXX") or next((c for c in ("g++", "clang++", "c++") if shutil.which(c)), None)
    if compiler is None:
        raise OSError("no C++ compiler found (g++, clang++, c++ or $CXX)")
    folder = _writable(cache_folder())
    path = folder / f"{name}-{_fingerprint(compiler, files)}.so"
    if not path.exists():
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            made = Path(scratch) / path.name
            sources = [str(each) for each in files if each.suffix == ".cpp"]
            command = [*compiler.split(), *_FLAGS, *sources, "-o", str(made)]
            subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)
            made.rename(path)
    return path


def _writable(folder: Path) -> Path:
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
    if os.access(folder, os.W_OK):
        return folder
    mine = Path(tempfile.gettempdir()) / f"phasearm-{os.getuid()}"
    mine.mkdir(mode=0o700, exist_ok=True)
    if mine.stat().st_uid != os.getuid():
        raise OSError(f"{mine} belongs to another user")
    return mine


def _fingerprint(compiler: str, files: Sequence[Path]) -> str:
    """Return a hash of all that a build depends on: sources, flags, compiler, and what this processor can do."""
    version = subprocess.run([*compiler.split(), "--version"], check=True, capture_output=True, text=True, timeout=20)
    parts = [each.read_bytes() for each in files]
    parts += [repr((_FLAGS, compiler, version.stdout, sys.platform, platform.machine(), _cpu_flags())).encode()]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:20]


def _cpu_flags() -> str:
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next((line for line in lines if line.startswith(("flags", "Features"))), "")
    return platform.processor()
