"""Weights of few bits in meta-training, rounded at random: the reference's "4 bit" network."""

from __future__ import annotations

import torch
from torch import Tensor


def stochastic_round(weights: Tensor, bits: int, generator: torch.Generator) -> Tensor:
    """Return weights on a grid of 2^bits values in [-1, 1), rounded up or down at random; the gradient passes through.

    With m = 2^(bits - 1): clip(round(w m + U(-1/2, 1/2)), -m, m - 1) / m, as published
    (github.com/IGITUGraz/RapidLearningInMemoryComputing, quantize.py).
    """
    m = 2 ** (bits - 1)
    jitter = torch.empty(weights.shape).uniform_(-0.5, 0.5, generator=generator).to(weights.device)
    rounded = (weights.detach() * m + jitter).round().clamp(-m, m - 1) / m
    return weights + (rounded - weights.detach())


def nearest_round(weights: Tensor, bits: int) -> Tensor:
    """Return weights at the nearest of the values that `stochastic_round` rounds to."""
    m = 2 ** (bits - 1)
    return (weights * m).round().clamp(-m, m - 1) / m


def clip_to_spread(weights: Tensor, spread: float) -> Tensor:
    """Return weights (out, ...) cut at `spread` times the root mean square of their output line.

    A chip errs in proportion to the largest weight that shares a range, so outliers blur all others (Joshi et al. 2020,
    Nat. Commun. 11:2473, cut at 2 standard deviations).
    """
    size = weights.square().mean(tuple(range(1, weights.dim())), keepdim=True).sqrt()
    return weights.clamp(-spread * size, spread * size)


def weight_noise(weights: Tensor, sd: float, generator: torch.Generator) -> Tensor:
    """Return weights with Gaussian errors of `sd` times the largest |weight| of their output line.

    A stand-in for programming errors, which on the chip are a share of the range that a column shares.
    Weights have their output line first: (out, ...) or, with `weights.dim() == 3`, (tasks, out, in).
    """
    inner = tuple(range(2 if weights.dim() == 3 else 1, weights.dim()))
    largest = weights.detach().abs().amax(inner, keepdim=True)
    draw = torch.empty(weights.shape).normal_(generator=generator).to(weights.device)
    return weights + sd * largest * draw
