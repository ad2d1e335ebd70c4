"""How fast the chip is simulated, over plain torch in the same process: a function for each row of the table.

Each returns CPU seconds, ours and the yardstick's: medians of turns taken one after the other, after a warm-up, on one
thread. CPU seconds leave out what other processes take. A full run takes about a minute and 3 GB.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from pcm_backend import Crossbar, CrossbarCfg

SIZE, CHIPS = 256, 256


class Speed(NamedTuple):
    """CPU seconds of one call."""

    ours_s: float
    baseline_s: float

    @property
    def ratio(self) -> float:
        """Ours over the yardstick's."""
        return self.ours_s / self.baseline_s


class Row(NamedTuple):
    """One line of the table."""

    work: str
    measure: Callable[[], Speed]
    must: float
    """Ratio that must be reached."""
    aim: float
    """Ratio that is aimed at."""


def compare(ours: Callable[[], object], *baselines: Callable[[], object], turns: int, calls: int = 1) -> Speed:
    """Return medians of CPU seconds; of several yardsticks the fastest.

    Args:
        ours: What is measured.
        baselines: What it is measured against.
        turns: Times that each is timed, in turn.
        calls: Calls that are timed together.
    """
    times: list[list[float]] = [[] for _ in range(1 + len(baselines))]
    for turn in range(turns + 2):
        for seconds, function in zip(times, (ours, *baselines), strict=True):
            start = time.process_time()
            for _ in range(calls):
                function()
            if turn >= 2:
                seconds.append((time.process_time() - start) / calls)
    first, *rest = (statistics.median(seconds) for seconds in times)
    return Speed(first, min(rest))


@torch.no_grad()
def forward(batch: int) -> Speed:
    """A product of 256 x 256 through 8-bit converters with read noise drawn anew, over `nn.Linear`."""
    crossbar = _crossbar(_matrix(), CrossbarCfg(), n_chips=1)
    linear, x = nn.Linear(SIZE, SIZE), torch.randn(batch, SIZE, generator=_generator())
    return compare(lambda: crossbar(x.unsqueeze(0)), lambda: linear(x), turns=60, calls=max(1, 640 // batch))


@torch.no_grad()
def many_chips(noise: bool) -> Speed:
    """One vector on each of 256 chips, over the fastest of four products of torch with as many matrices."""
    cfg = CrossbarCfg(read_noise="each" if noise else "off")
    crossbar = _crossbar(_matrix(), cfg, n_chips=CHIPS)
    matrices = torch.randn(CHIPS, SIZE, SIZE, generator=_generator())
    x = torch.randn(CHIPS, 1, SIZE, generator=_generator())
    column = x.transpose(1, 2).contiguous()
    return compare(
        lambda: crossbar(x),
        lambda: torch.bmm(x, matrices),
        lambda: torch.bmm(x, matrices.transpose(1, 2)),
        lambda: torch.bmm(matrices, column),
        lambda: torch.bmm(matrices.transpose(1, 2), column),
        turns=25,
    )


def program(shared: bool) -> Speed:
    """Program one matrix on 256 chips, or one on each, over `torch.randn` of as many numbers as they have weights."""
    weights = _matrix() if shared else torch.randn(CHIPS, SIZE, SIZE, generator=_generator())
    generator = _generator()
    return compare(
        lambda: _crossbar(weights, CrossbarCfg(), n_chips=CHIPS),
        lambda: torch.randn(CHIPS, SIZE, SIZE, generator=generator),
        turns=5,
    )


def write_sparsely() -> Speed:
    """Write one cell of a hundred, over writing all of 256 chips."""
    crossbar = _crossbar(_matrix(), CrossbarCfg(w_range=2.0), n_chips=CHIPS)
    delta = torch.randn(CHIPS, SIZE, SIZE, generator=_generator()) * 0.05
    few = delta * (torch.rand(delta.shape, generator=_generator()) < 0.01)
    return compare(lambda: crossbar.write(few), lambda: crossbar.write(delta), turns=3)


def bytes_per_weight(read_noise: str) -> float:
    """Return the memory of 256 chips of hermes_2, what reads keep included, over their weights, bytes."""
    cfg = CrossbarCfg(read_noise=read_noise)  # type: ignore[arg-type]
    crossbar = _crossbar(_matrix(), cfg, n_chips=CHIPS)
    crossbar.write(torch.full((SIZE, SIZE), 0.01))  # from here on devices have ages of their own
    crossbar(torch.ones(CHIPS, 1, SIZE))
    tensors: dict[int, int] = {}
    _collect(crossbar, tensors, set())
    return sum(tensors.values()) / (CHIPS * SIZE * SIZE)


ROWS = (
    Row("256 x 256, 8-bit converters, read noise, batch 64 / nn.Linear", lambda: forward(64), 4.0, 2.8),
    Row("256 x 256, 8-bit converters, read noise, batch 1024 / nn.Linear", lambda: forward(1024), 4.0, 2.8),
    Row("256 chips, a vector each, no read noise / bmm", lambda: many_chips(False), 1.6, 1.2),
    Row("256 chips, a vector each, read noise / bmm", lambda: many_chips(True), 2.6, 1.8),
    Row("program one matrix on 256 chips / torch.randn", lambda: program(True), 8.0, 5.0),
    Row("program 256 matrices / torch.randn", lambda: program(False), 14.0, 8.0),
    Row("write 1 % of the cells / all", write_sparsely, 0.1, 0.03),
)
"""The table, in its order."""


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(1000)


def _matrix() -> Tensor:
    return torch.randn(SIZE, SIZE, generator=_generator()) * 0.2


def _crossbar(weights: Tensor, cfg: CrossbarCfg, n_chips: int) -> Crossbar:
    return Crossbar(weights, cfg, n_chips=n_chips, generator=_generator())


def _collect(thing: object, tensors: dict[int, int], seen: set[int]) -> None:
    """Add up the storages of all tensors that an object holds, each once."""
    if id(thing) in seen:
        return
    seen.add(id(thing))
    if isinstance(thing, Tensor):
        storage = thing.untyped_storage()
        tensors[storage.data_ptr()] = storage.nbytes()
    elif isinstance(thing, dict):
        for each in thing.values():
            _collect(each, tensors, seen)
    elif isinstance(thing, (tuple, list)):
        for each in thing:
            _collect(each, tensors, seen)
    elif type(thing).__module__.startswith("pcm_backend"):
        _collect(getattr(thing, "__dict__", {}), tensors, seen)
