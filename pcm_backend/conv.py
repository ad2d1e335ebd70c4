"""Convolutions on the chip: every patch of a picture is one product, so a kernel is a line and a patch its rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from .layers import CrossbarLayer
from .through import Matrix, Product


class Patches(NamedTuple):
    """Which patches of a picture a convolution looks at; each pair is (height, width)."""

    channels: int
    kernel: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    padding: tuple[int, int, int, int]
    """Left, right, top, bottom, as `torch.nn.functional.pad` takes them."""
    padding_mode: str

    @classmethod
    def of(cls, conv: nn.Conv2d) -> Patches:
        """Read them off torch's layer."""
        kernel, stride, dilation = ((a, b) for a, b in (conv.kernel_size, conv.stride, conv.dilation))
        left, right, top, bottom = conv._reversed_padding_repeated_twice  # torch resolves "same" and "valid" in it
        mode = "constant" if conv.padding_mode == "zeros" else conv.padding_mode
        return cls(conv.in_channels, kernel, stride, dilation, (left, right, top, bottom), mode)

    def cut(self, x: Tensor) -> Tensor:
        """Return the patches of pictures. Shape: (n, channels, height, width) to (n, rows, columns, in).

        A patch is laid out (height, width, channel): where pictures have their channels last in memory, as those that
        come from another convolution on the chip, a patch is copied in runs of width x channels numbers.
        """
        if any(self.padding):
            x = functional.pad(x, self.padding, mode=self.padding_mode)
        x = x.permute(0, 2, 3, 1).contiguous()  # (n, height, width, channels)
        for axis in (0, 1):
            span = (self.kernel[axis] - 1) * self.dilation[axis] + 1
            if x.shape[1 + axis] < span:
                raise ValueError(f"pictures of {tuple(x.shape[1:3])} with padding are smaller than a kernel of {span}")
            x = x.unfold(1 + axis, span, self.stride[axis])[..., :: self.dilation[axis]]
        return x.permute(0, 1, 2, 4, 5, 3).flatten(3)  # from (n, rows, columns, channels, height, width)


class CrossbarConv2d(CrossbarLayer):
    """A convolution whose kernels lie on a crossbar: lines are filters, rows the (height, width, channel) of a patch.

    The patches of a picture are read one after another, as many products as the output has pixels. More rows than a
    core has are split over cores by the crossbar. Groups lie as blocks on the diagonal; the cells beside them are
    switched off, and noisy like every other.
    """

    def __init__(self, crossbar: Product, patches: Patches) -> None:
        super().__init__({"": crossbar})
        self.patches = patches

    @staticmethod
    def matrices(layer: nn.Module) -> dict[str, Matrix]:
        """Return kernels and bias of an `nn.Conv2d`. Shape of the weight: (filters, height x width x channels)."""
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
        patches = self.patches.cut(x.flatten(0, 1))
        y = self.products[""](patches.reshape(x.shape[0], -1, patches.shape[-1]))
        return y.reshape(*x.shape[:2], *patches.shape[1:3], -1).movedim(-1, 2)

    def kernels(self) -> Tensor:
        """Return the kernels as they stand now. Shape: (K, filters, channels, height, width); zero beside groups."""
        return rows_to_kernels(self.crossbar.weights(), self.patches.kernel)


def kernels_to_rows(kernels: Tensor, groups: int = 1) -> Tensor:
    """Return kernels as rows of a crossbar; increments of kernels are written in this form.

    Shape: (..., filters, channels / groups, height, width) to (..., filters, height x width x channels).
    """
    rows = kernels.movedim(-3, -1)  # (..., filters, height, width, channels / groups)
    if groups > 1:
        own = torch.eye(groups, dtype=rows.dtype, device=rows.device)
        rows = rows.unflatten(-4, (groups, -1))  # (..., groups, filters / groups, height, width, channels / groups)
        rows = (rows.unsqueeze(-2) * own[:, None, None, None, :, None]).flatten(-2).flatten(-5, -4)
    return rows.flatten(-3)


def rows_to_kernels(rows: Tensor, kernel: tuple[int, int]) -> Tensor:
    """Return rows of a crossbar as kernels, the inverse of `kernels_to_rows` without groups."""
    return rows.unflatten(-1, (*kernel, -1)).movedim(-1, -3)
