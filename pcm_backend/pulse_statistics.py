"""Measured on the pulse-level devices: pulses, iterations and failures by target.

python -m pcm_backend.pulse_statistics        prints the tables that `pulse_counts` ships
"""

from __future__ import annotations

import textwrap
from dataclasses import astuple

import torch
from torch import Tensor

from .pulse_counts import BINS, ROWS_TOGETHER, PulseTable
from .pulse_device import HERMES_PAIR, HERMES_SINGLE, PulsedDevice
from .verify import MAX_ITERATIONS, Counts


def measure(device: PulsedDevice, n_each: int, seed: int) -> PulseTable:
    """Program conductances of unknown state and return what it took, by target.

    Args:
        device: What is programmed.
        n_each: Conductances in each bin of target, and as many at exactly zero.
        seed: Of targets and noise.
    """
    generator = torch.Generator().manual_seed(seed)
    low = torch.arange(BINS).unsqueeze(1)
    ghat = (low + 1.0 - torch.rand((BINS, n_each), generator=generator)) / BINS  # above low, up to high
    ghat = torch.cat([torch.zeros((1, n_each)), ghat])
    _, counts = device.program_counted(ghat * device.g_max_us, generator)

    def mean(each: Tensor) -> tuple[float, ...]:
        return tuple(each.float().mean(1).tolist())

    means = mean(counts.set_pulses), mean(counts.reset_pulses), mean(counts.iterations)
    return PulseTable(*means, failed=mean(~counts.converged), longest=longest(counts))


def longest(counts: Counts) -> tuple[float, ...]:
    """Return the mean of the largest number of iterations among 1, 2, 4, ... conductances of uniform targets.

    With F(k) the share that takes at most k, the largest of n takes more than k with probability 1 - F(k)^n.
    """
    iterations = counts.iterations[1:].flatten()  # without the targets of exactly zero
    within = torch.bincount(iterations, minlength=MAX_ITERATIONS + 1).double().cumsum(0) / len(iterations)
    return tuple(float((1.0 - within[:-1] ** n).sum()) for n in ROWS_TOGETHER)


def histogram(device: PulsedDevice, n_each: int, seed: int, n_pulses: int = 40) -> Tensor:
    """Return how the number of pulses of a conductance is distributed, by target; its devices share them.

    Shape: (bins of target, n_pulses); each row sums to 1, the last column holds everything beyond.
    """
    generator = torch.Generator().manual_seed(seed)
    ghat = (torch.arange(BINS).unsqueeze(1) + torch.rand((BINS, n_each), generator=generator)) / BINS
    _, counts = device.program_counted(ghat * device.g_max_us, generator)
    pulses = counts.pulses.long().clamp(max=n_pulses - 1)
    return torch.zeros((BINS, n_pulses)).scatter_add_(1, pulses, torch.ones_like(ghat)) / n_each


def as_source(name: str, table: PulseTable) -> str:
    """Return a table as the lines of code that make it."""
    rows = [textwrap.fill(", ".join(f"{each:.4g}" for each in row), 112) for row in astuple(table)]
    inner = [textwrap.indent(f"(\n{textwrap.indent(row, '    ')},\n),", "    ") for row in rows]
    return "\n".join([f"{name} = PulseTable(", *inner, ")"])


if __name__ == "__main__":
    print(as_source("_PAIR", measure(HERMES_PAIR, 50_000, 0)))
    print(as_source("_SINGLE", measure(HERMES_SINGLE, 50_000, 0)))
