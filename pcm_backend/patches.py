"""What a convolution looks at, and the products of a crossbar with all patches of a picture at once."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional


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

    @property
    def rows(self) -> int:
        """Numbers in a patch."""
        return self.channels * self.kernel[0] * self.kernel[1]

    def size(self, height: int, width: int) -> tuple[int, int]:
        """Return how many patches a picture has, down and across."""
        left, right, top, bottom = self.padding
        room = (height + top + bottom, width + left + right)
        spans = [(size - 1) * step + 1 for size, step in zip(self.kernel, self.dilation, strict=True)]
        if room[0] < spans[0] or room[1] < spans[1]:
            raise ValueError(f"pictures of {room} with their padding are smaller than a kernel of {tuple(spans)}")
        return (room[0] - spans[0]) // self.stride[0] + 1, (room[1] - spans[1]) // self.stride[1] + 1

    def cut(self, x: Tensor) -> Tensor:
        """Return the patches of pictures, each laid out (channel, height, width) as the kernels of torch are.

        Shape: (K, batch, channels, height, width) to (K, batch x patches, rows).
        """
        padded = functional.pad(x.flatten(0, 1), self.padding, mode=self.padding_mode)
        columns = functional.unfold(padded, self.kernel, self.dilation, 0, self.stride)  # (K x batch, rows, patches)
        return columns.transpose(1, 2).reshape(len(x), -1, columns.shape[1])

    def arranged(self, x: Tensor) -> Tensor:
        """Return pictures as `sums` takes them: the channels of all chips side by side, and last in memory.

        Shape: (K, batch, channels, height, width) to (batch, K x channels, height, width), padded where torch's
        convolution cannot do it by itself.
        """
        x = x.transpose(0, 1).flatten(1, 2).contiguous(memory_format=torch.channels_last)
        return x if self._pads_itself else functional.pad(x, self.padding, mode=self.padding_mode)

    def sums(
        self, pictures: Tensor, view: Tensor, blocks: tuple[slice, ...], slices: int, drive: float | None
    ) -> Tensor:
        """Return `cut(x) @ view.T`, block by block of rows, without cutting: a convolution with a group for each chip.

        Args:
            pictures: As `arranged` gives them.
            view: Kernels as rows, and the bias as a last row where there is one. Shape: (K, slices x out, in).
            blocks: Which rows are added up; a block may end within the kernel of a channel.
            slices: Of the view's second dimension.
            drive: What the row of the bias is multiplied with; None: there is none.

        Returns:
            Shape (K, batch x patches, slices x blocks x out).
        """
        if self._parts_channels(blocks):
            sums = self._convolved(pictures, *self._kernels(view, blocks, drive), len(view) * len(blocks))
            sums = sums.unflatten(-1, (len(view), len(blocks), slices, -1)).transpose(2, 3)  # slices before blocks
        else:
            parts = [self._one_block(pictures, view, rows, drive) for rows in blocks]
            sums = torch.stack([each.unflatten(-1, (len(view), slices, -1)) for each in parts], 3)
        return sums.flatten(2).transpose(0, 1)

    @property
    def _pads_itself(self) -> bool:
        left, right, top, bottom = self.padding
        return self.padding_mode == "constant" and left == right and top == bottom

    def _parts_channels(self, blocks: tuple[slice, ...]) -> bool:
        """Return whether every block has the kernels of as many whole channels; the bias may be in the last."""
        size = self.rows // len(blocks)
        aligned = size % (self.kernel[0] * self.kernel[1]) == 0 and size * len(blocks) == self.rows
        return aligned and all(each.start == size * index for index, each in enumerate(blocks))

    def _kernels(self, view: Tensor, blocks: tuple[slice, ...], drive: float | None) -> tuple[Tensor, Tensor | None]:
        """Return the kernels of every chip, block, slice and line, in this order, and their bias."""
        kernels = view[..., : self.rows].unflatten(-1, (len(blocks), -1, *self.kernel)).transpose(1, 2)
        if drive is None:
            return kernels.flatten(0, 2), None
        bias = view.new_zeros(kernels.shape[:3])
        bias[:, -1] = view[..., -1] * drive
        return kernels.flatten(0, 2), bias.flatten()

    def _one_block(self, pictures: Tensor, view: Tensor, rows: slice, drive: float | None) -> Tensor:
        """Return the sums of one block, which may begin and end within a channel. Shape: (n, K x slices x out)."""
        size, last = self.kernel[0] * self.kernel[1], min(rows.stop, self.rows)
        channels = slice(rows.start // size, -(-last // size))
        missing = (rows.start - channels.start * size, channels.stop * size - last)
        kernels = functional.pad(view[..., rows.start : last], missing).unflatten(-1, (-1, *self.kernel)).flatten(0, 1)
        bias = None if drive is None or rows.stop == last else (view[..., -1] * drive).flatten()
        own = pictures.unflatten(1, (len(view), -1))[:, :, channels].flatten(1, 2)
        return self._convolved(own.contiguous(memory_format=torch.channels_last), kernels, bias, len(view))

    def _convolved(self, pictures: Tensor, kernels: Tensor, bias: Tensor | None, groups: int) -> Tensor:
        padding = (self.padding[2], self.padding[0]) if self._pads_itself else 0
        y = functional.conv2d(pictures, kernels, bias, self.stride, padding, self.dilation, groups)
        return y.permute(0, 2, 3, 1).flatten(0, 2)
