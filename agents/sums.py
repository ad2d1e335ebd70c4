"""Two sums that the spiking arm takes over and over: leaky over time, and of the weight rows of spiking neurons."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from . import native


def filtered(x: Tensor, decay: float) -> Tensor:
    """Return the leaky sum y of x (T, ...) over time, y[t] = x[t] + decay y[t - 1]."""
    return _Leak.apply(x, decay)


def spike_product(z: Tensor, w: Tensor, binary: bool, coarse: bool = False) -> Tensor:
    """Return z @ w for activity (..., N).

    Args:
        z: Activity.
        w: Weights. Shape: (N, M).
        binary: Every activity is 0 or 1, and mostly 0: rows of w are added up.
        coarse: Take the product of the backward pass in bfloat16.
    """
    return _SpikeProduct.apply(z, w, coarse) if binary and native.usable(z, w) is not None else z @ w


class _Leak(torch.autograd.Function):
    """The leaky sum; its adjoint is the same sum from the end."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, decay: float) -> Tensor:
        ctx.decay = decay
        return _leak(x, decay, backwards=False)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return _leak(grads[0], ctx.decay, backwards=True), None


def _leak(x: Tensor, decay: float, backwards: bool) -> Tensor:
    x = x.contiguous()
    out = torch.empty_like(x)
    n_steps, n_columns = x.shape[0], x[0].numel()
    loops = native.usable(x)
    if loops is not None:
        native.split(loops.leak_columns, (x, out, n_steps, n_columns, decay, int(backwards)), n_columns)
        return out
    order = range(n_steps - 1, -1, -1) if backwards else range(n_steps)
    before = torch.zeros_like(x[0])
    for t in order:
        before = torch.add(x[t], before, alpha=decay, out=out[t])
    return out


class _SpikeProduct(torch.autograd.Function):
    """The product, and its weights' gradient, by adding up rows."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, w: Tensor, coarse: bool) -> Tensor:
        loops = native.kernels()
        assert loops is not None
        flat, w = z.contiguous().view(-1, w.shape[0]), w.contiguous()
        ctx.save_for_backward(flat, w)
        ctx.coarse = coarse
        out = flat.new_empty(flat.shape[0], w.shape[1])
        native.split(loops.sum_rows, (flat, w, out, *w.shape), flat.shape[0])
        return out.view(*z.shape[:-1], w.shape[1])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None]:
        loops = native.kernels()
        assert loops is not None
        flat, w = ctx.saved_tensors
        grad = grads[0].contiguous().view(-1, w.shape[1])
        wide = torch.bfloat16 if ctx.coarse else w.dtype
        grad_z = (grad.to(wide) @ w.T.to(wide)).to(w.dtype).view(*grads[0].shape[:-1], w.shape[0])
        grad_w = torch.zeros_like(w)
        native.split(loops.scatter_rows, (flat, grad, grad_w, flat.shape[0], *w.shape), w.shape[1])
        return grad_z, grad_w, None
