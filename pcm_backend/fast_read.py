"""A read by the native kernels: everything beside the matrix product in two passes, and single vectors in one.

It gives what the stages of `reading.py` do, of the same random numbers, but for the products' own rounding.
"""

from __future__ import annotations

import ctypes

import torch
from torch import Tensor

from .array import Array
from .patches import Patches
from .views import View, add_rows


class FastRead:
    """The read of one array whose surroundings do not err."""

    def __init__(self, array: Array, out_range: Tensor | None, kernels: ctypes.CDLL) -> None:
        cfg = array.cfg
        self._array, self._kernels = array, kernels
        self._parts = cfg.slices * len(array.blocks)
        self._out_range = None if out_range is None else out_range.float().contiguous()
        self._in_range = cfg.in_range or 0.0
        self._in_steps, self._out_steps = (float(_steps(bits)) for bits in (cfg.dac_bits, cfg.adc_bits))
        self._doublings = cfg.out_doublings if out_range is not None and cfg.adc_bits > 0 else 0

    def __call__(self, x: Tensor, view: View) -> tuple[Tensor, Tensor | None]:
        """Read. Shape: (K, batch, in without the bias) to (K, batch, out), and the doublings of each chip, if any.

        Raises:
            ValueError: An input is not finite.
        """
        n_chips, batch, _ = x.shape
        noisy = self._array.cfg.read_noise == "each"
        if batch == 1 and len(self._array.blocks) == 1:
            y, power = self._single(self._drive(x, None), view, noisy)
        else:
            squares = torch.empty((n_chips, batch, self._array.n_in)) if noisy else None
            y = add_rows(self._drive(x, squares), view.mean(), self._array)
            power = None if squares is None else add_rows(squares, view.variance(), self._array)
        return self._finish(y, power)

    def pictures(self, x: Tensor, patches: Patches, view: View) -> tuple[Tensor, Tensor | None]:
        """Read every patch of pictures; the input's converter has one full scale for all.

        Shape: (K, batch, channels, height, width) to (K, batch x patches, out), and the doublings of each chip, if any.
        """
        array, pictures = self._array, patches.arranged(x)
        volts = torch.empty_like(pictures)
        squares = torch.empty_like(pictures) if array.cfg.read_noise == "each" else None
        self._drive_into(pictures, volts, squares, (1, pictures.numel()), None)
        layout = (array.blocks, array.cfg.slices)
        y = patches.sums(volts, view.mean(), *layout, array.drive).contiguous()
        if squares is None:
            return self._finish(y, None)
        variance, drive = view.variance(), None if array.drive is None else array.drive**2
        assert variance is not None
        return self._finish(y, patches.sums(squares, variance, *layout, drive).contiguous())

    def spikes(self, spikes: Tensor, rows: Tensor) -> tuple[Tensor, Tensor | None]:
        """Read with some rows at their level and all others at rest.

        Args:
            spikes: Non-zero where a row is driven. Shape: (K, batch, in).
            rows: Mean, and variance where there is noise, of each row at its level. Shape: (K x in, currents), or
                twice as many.

        Returns:
            Shape (K, batch, out), and the doublings of each chip, if any.
        """
        spikes, n = spikes.to(rows.dtype).contiguous(), self._array.lines
        y = torch.empty((*spikes.shape[:2], n))
        power = torch.empty_like(y) if rows.shape[1] > n else None
        self._kernels.spike_sums(*(spikes.data_ptr(), rows.data_ptr(), y.data_ptr(), _address(power)), *spikes.shape, n)
        return self._finish(y, power)

    def _drive(self, x: Tensor, squares: Tensor | None) -> Tensor:
        volts = torch.empty((*x.shape[:2], self._array.n_in))
        self._drive_into(x.contiguous(), volts, squares, (x.shape[0] * x.shape[1], x.shape[2]), self._array.drive)
        return volts

    def _drive_into(
        self, x: Tensor, volts: Tensor, squares: Tensor | None, shape: tuple[int, int], drive: float | None
    ) -> None:
        """Convert vectors and append the row of the bias, into a tensor for it and one for its squares."""
        bad = self._kernels.drive(
            *(x.data_ptr(), volts.data_ptr(), _address(squares), *shape),
            *(int(drive is not None), drive or 0.0, self._in_range, self._in_steps),
        )
        if bad:
            raise ValueError(f"x must be finite, got NaN or infinity in {bad} of {shape[0]} vectors")

    def _single(self, volts: Tensor, view: View, noisy: bool) -> tuple[Tensor, Tensor | None]:
        """Multiply one vector with each chip's matrix. Shape: (K, 1, in) to (K, 1, currents), twice."""
        mean = view.mean()
        variance = view.variance(torch.bfloat16) if noisy else None
        y = torch.empty((len(mean), 1, mean.shape[1]))
        power = torch.empty_like(y) if noisy else None
        self._kernels.products(
            *(volts.data_ptr(), mean.data_ptr(), _address(variance), y.data_ptr(), _address(power)), *mean.shape
        )
        return y, power

    def _finish(self, y: Tensor, power: Tensor | None) -> tuple[Tensor, Tensor | None]:
        array = self._array
        n_chips, batch, _ = y.shape
        streams, factor = array.streams, array.compensation.of_currents().contiguous()
        draw = 0 if power is None else streams.draw(batch, y.shape[2]).count
        out = torch.empty((n_chips, batch, array.n_out))
        repeats = torch.empty(n_chips, dtype=torch.float64) if self._doublings else None
        self._kernels.finish(
            *(out.data_ptr(), y.data_ptr(), _address(power), factor.data_ptr(), _address(self._out_range)),
            *(_address(repeats), streams.keys.data_ptr(), draw, n_chips, batch, self._parts, array.n_out),
            *(self._out_steps, self._doublings),
        )
        return out, repeats


def _steps(bits: int) -> int:
    return 2 ** (bits - 1) - 1 if bits else 0


def _address(tensor: Tensor | None) -> int | None:
    return None if tensor is None else tensor.data_ptr()
