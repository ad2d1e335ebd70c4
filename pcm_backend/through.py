"""Products whose value comes from the chip and whose gradient is that of the exact product."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

Product = Callable[[Tensor], Tensor]
"""What multiplies a matrix: x (K, batch, in) to (K, batch, out). A `Crossbar` is one."""


class Matrix(NamedTuple):
    """A float matrix and its bias as they lie on a crossbar."""

    weight: Tensor
    """Shape (out, in) or (K, out, in)."""
    bias: Tensor | None
    """Shape (out,) or (K, out)."""


def straight_through(
    product: Product, x: Tensor, weight: Tensor, bias: Tensor | None = None, *, seen: Tensor | None = None
) -> Tensor:
    """Return the product as the chip gives it, with the gradient of `x @ weight.T + bias`.

    So an outer loop may run through the chip: it trains the float weight by what the chip's errors do to the loss. The
    gradients are made of torch's own operators, so they can be differentiated again.

    Args:
        product: The chip, programmed with (about) this weight and bias.
        x: Shape (K, batch, in).
        weight: The float weight, shape (out, in) or (K, out, in).
        bias: Shape (out,) or (K, out).
        seen: Weights that take the gradient back to x, shape (K, out, in); None: `weight`. With the weights as the chip
            holds them the gradient is that of the very network which was run.

    Returns:
        Shape (K, batch, out).
    """
    if x.dim() != 3 or weight.dim() not in (2, 3) or weight.shape[-1] != x.shape[-1]:
        raise ValueError(
            f"x (K, batch, in) and weight (out, in) or (K, out, in) do not fit: {tuple(x.shape)}, {tuple(weight.shape)}"
        )
    return _Through.apply(product, x, weight, bias, weight if seen is None else seen)


class _Through(torch.autograd.Function):
    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any, product: Product, x: Tensor, weight: Tensor, bias: Tensor | None, seen: Tensor
    ) -> Tensor:
        ctx.save_for_backward(x, weight, bias, seen)
        return product(x.detach())

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        x, weight, bias, seen = ctx.saved_tensors
        _, for_x, for_weight, for_bias, _ = ctx.needs_input_grad
        d_weight = d_bias = None
        if for_weight:
            per_chip = grad.transpose(1, 2) @ x
            d_weight = per_chip.sum(0) if weight.dim() == 2 else per_chip
        if for_bias:
            d_bias = grad.sum((0, 1)) if bias.dim() == 1 else grad.sum(1)
        return None, grad @ seen if for_x else None, d_weight, d_bias, None
