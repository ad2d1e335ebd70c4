"""Convolutions on the chip: every patch of a picture is one product, so a kernel is a line and a patch its rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

import torch
from torch import Tensor, nn

from .crossbar import Crossbar
from .layers import CrossbarLayer
from .patches import Patches
from .through import Matrix, Product


class CrossbarConv2d(CrossbarLayer):
    """A convolution whose kernels lie on a crossbar: lines are filters, rows the (channel, height, width) of a patch.

    The patches of a picture are read one after another, as many products as the output has pixels. More rows than a
    core has are split over cores. Groups lie as blocks on the diagonal; the cells beside them are
    switched off, and noisy like every other.
    """

    def __init__(self, crossbar: Product, patches: Patches) -> None:
        super().__init__({"": crossbar})
        self.patches = patches

    @staticmethod
    def matrices(layer: nn.Module) -> dict[str, Matrix]:
        """Return kernels and bias of an `nn.Conv2d`. Shape of the weight: (filters, channels x height x width)."""
        assert isinstance(layer, nn.Conv2d)
        return {"": Matrix(kernels_to_rows(layer.weight, layer.groups), layer.bias)}

    @classmethod
    def like(cls, layer: nn.Module, products: Mapping[str, Product]) -> Self:
        """Return the layer on these products."""
        assert isinstance(layer, nn.Conv2d)
        return cls(products[""], Patches.of(layer))

    def on(self, products: Mapping[str, Product]) -> Self:
        """Return the same layer on other products."""
        return type(self)(products[""], self.patches)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve. Shape: (K, batch, channels, height, width) to (K, batch, filters, rows, columns).

        The result has its channels last in memory, as `torch.channels_last`.
        """
        if x.dim() != 5 or x.shape[2] != self.patches.channels:
            raise ValueError(
                f"x must have shape (K, batch, {self.patches.channels}, height, width), got {tuple(x.shape)}"
            )
        size, product = self.patches.size(x.shape[3], x.shape[4]), self.products[""]
        y = product.convolve(x, self.patches) if isinstance(product, Crossbar) else product(self.patches.cut(x))
        return y.unflatten(1, (x.shape[1], *size)).movedim(-1, 2)

    def kernels(self) -> Tensor:
        """Return the kernels as they stand now. Shape: (K, filters, channels, height, width); zero beside groups."""
        return self.crossbar.weights().unflatten(-1, (self.patches.channels, *self.patches.kernel))


def kernels_to_rows(kernels: Tensor, groups: int = 1) -> Tensor:
    """Return kernels as rows of a crossbar; without groups `kernels.flatten(-3)`. Increments are written in this form.

    Shape: (..., filters, channels / groups, height, width) to (..., filters, channels x height x width).
    """
    if groups > 1:
        own = torch.eye(groups, dtype=kernels.dtype, device=kernels.device)[:, None, :, None, None, None]
        kernels = kernels.unflatten(-4, (groups, -1))  # (..., groups, filters / groups, channels / groups, h, w)
        kernels = (kernels.unsqueeze(-4) * own).flatten(-4, -3).flatten(-5, -4)
    return kernels.flatten(-3)
