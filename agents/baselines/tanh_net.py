"""A plain network of tanh layers whose weights may differ from task to task, and its gradients by hand.

A layer is a table (..., out, in + 1), the bias its last column. The gradients are ordinary tensors, so an outer loop
differentiates through them, and on a chip the activities in them are the ones that were read.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn


class Pass(NamedTuple):
    """A forward pass."""

    inputs: list[Tensor]  # of each layer, (..., T, in + 1), the last column the constant 1
    output: Tensor  # (..., T, out)


def with_one(x: Tensor) -> Tensor:
    """Return inputs with the constant that a bias multiplies."""
    return torch.cat([x, torch.ones_like(x[..., :1])], dim=-1)


def forward(tables: Sequence[Tensor], x: Tensor) -> Pass:
    """Run inputs (..., T, in) through the layers, a tanh after each but the last."""
    inputs = []
    for index, table in enumerate(tables):
        inputs.append(with_one(torch.tanh(x) if index else x))
        x = inputs[-1] @ table.mT
    return Pass(inputs, x)


def pushes(tables: Sequence[Tensor], inputs: Sequence[Tensor], error: Tensor) -> list[Tensor]:
    """Return what would lessen half the squared error, step by step of time, by back-propagation.

    Args:
        tables: The layers.
        inputs: Their inputs in the forward pass.
        error: What the output lacks, (..., T, out).

    Returns:
        The negative gradient at the sums of each layer, (..., T, out), and before them, as the first of the list, at
        the input as it would be if it were a tanh of something too.
    """
    found = [error]
    for table, given in zip(reversed(tables), reversed(inputs), strict=True):
        slope = 1.0 - given[..., :-1].square()
        found.insert(0, (found[0] @ table[..., :-1]) * slope)
    return found


def increments(pushed: Sequence[Tensor], inputs: Sequence[Tensor]) -> list[Tensor]:
    """Return the negative gradient of the mean over time for each table, (..., out, in + 1)."""
    return [push.mT @ given / given.shape[-2] for push, given in zip(pushed[1:], inputs, strict=True)]


def layer_tables(sizes: Sequence[int]) -> nn.ParameterList:
    """Return zero tables of a network with these widths, from input to output."""
    shapes = zip(sizes[1:], sizes[:-1], strict=True)
    return nn.ParameterList(nn.Parameter(torch.zeros(out, n + 1)) for out, n in shapes)


def initialise_tables(tables: nn.ParameterList, generator: torch.Generator) -> None:
    """Draw every table anew from `generator`: Glorot weights, zero biases."""
    with torch.no_grad():
        for table in tables:
            table[:, -1] = 0.0
            nn.init.xavier_uniform_(table[:, :-1], generator=generator)


def noisy(tables: Sequence[Tensor], noise: float, generator: torch.Generator) -> list[Tensor]:
    """Return tables as a chip would hold them: errors of `noise` times the largest weight of an output line.

    A table (B, out, in + 1) of B tasks has the range of the whole batch.
    """
    if noise == 0:
        return list(tables)
    spans = [table.detach().abs().amax(dim=-1, keepdim=True) for table in tables]
    spans = [span.amax(dim=0) if span.ndim == 3 else span for span in spans]
    return [
        table + noise * span * torch.randn(table.shape, generator=generator)
        for table, span in zip(tables, spans, strict=True)
    ]


def read_noise(passed: Pass, tables: Sequence[Tensor], noise: float, generator: torch.Generator) -> Pass:
    """Return a pass whose last hidden activities, and with them the output, are read with noise."""
    if noise == 0:
        return passed
    drawn = noise * torch.randn(passed.inputs[-1].shape, generator=generator)
    drawn[..., -1] = 0.0  # the constant is an input line
    last = passed.inputs[-1] + drawn
    return Pass([*passed.inputs[:-1], last], last @ tables[-1].mT)
