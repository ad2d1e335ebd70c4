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

    def sums(self, x: Tensor, view: Tensor, blocks: tuple[slice, ...], slices: int, drive: float | None) -> Tensor:
        """Return `cut(x) @ view.T`, block by block of rows, without cutting: a convolution with a group for each chip.

        Args:
            x: Pictures. Shape: (K, batch, channels, height, width).
            view: Kernels as rows, and the bias as a last row where there is one. Shape: (K, slices x out, in).
            blocks: Which rows are added up; a block may end within the kernel of a channel.
            slices: Of the view's second dimension.
            drive: What the row of the bias is multiplied with; None: there is none.

        Returns:
            Shape (K, batch x patches, slices x blocks x out).
        """
        n_chips, batch = x.shape[:2]
        left, right, top, bottom = self.padding
        plain = self.padding_mode == "constant" and left == right and top == bottom
        if not plain:
            x = functional.pad(x.flatten(0, 1), self.padding, mode=self.padding_mode).unflatten(0, (n_chips, batch))
        parts = []
        for rows in blocks:
            channels, kernels, bias = self._kernels(view, rows, drive)
            pictures = x[:, :, channels].transpose(0, 1).flatten(1, 2).contiguous(memory_format=torch.channels_last)
            y = functional.conv2d(
                pictures, kernels, bias, self.stride, (top, left) if plain else 0, self.dilation, groups=n_chips
            )
            parts.append(y.permute(0, 2, 3, 1).reshape(-1, n_chips, slices, view.shape[1] // slices))
        sums = parts[0] if len(parts) == 1 else torch.stack(parts, -2)
        return sums.flatten(2).transpose(0, 1)

    def _kernels(self, view: Tensor, rows: slice, drive: float | None) -> tuple[slice, Tensor, Tensor | None]:
        """Return the channels that a block of rows looks at, their kernels, and the bias if the block has its row."""
        size = self.kernel[0] * self.kernel[1]
        last = min(rows.stop, self.rows)
        channels = slice(rows.start // size, -(-last // size))
        kernels = view[..., rows.start : last]
        missing = (rows.start - channels.start * size, channels.stop * size - last)
        if any(missing):
            kernels = functional.pad(kernels, missing)
        kernels = kernels.reshape(-1, channels.stop - channels.start, *self.kernel)
        bias = None if drive is None or rows.stop == last else (view[..., -1] * drive).flatten()
        return channels, kernels, bias
