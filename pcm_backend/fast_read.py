"""A read by the native kernels: everything beside the matrix product in two passes, and single vectors in one.

It gives what the stages of `reading.py` do, of the same random numbers, but for the products' own rounding.
"""

from __future__ import annotations

import ctypes

import torch
from torch import Tensor

from .array import Array
from .views import View


class FastRead:
    """The read of one array that lies on one core of rows and whose surroundings do not err."""

    def __init__(self, array: Array, out_range: Tensor | None, kernels: ctypes.CDLL) -> None:
        cfg = array.cfg
        self._array, self._kernels = array, kernels
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
        if batch == 1:
            y, power = self._single(self._drive(x, None), view, noisy)
        else:
            squares = torch.empty((n_chips, batch, self._array.n_in)) if noisy else None
            y = _product(self._drive(x, squares), view.mean())
            power = None if squares is None else _product(squares, view.variance())
        return self._finish(y, power)

    def _drive(self, x: Tensor, squares: Tensor | None) -> Tensor:
        array = self._array
        x = x.contiguous()
        volts = torch.empty((*x.shape[:2], array.n_in))
        bad = self._kernels.drive(
            *(x.data_ptr(), volts.data_ptr(), _address(squares), x.shape[0] * x.shape[1], x.shape[2]),
            *(int(array.drive is not None), array.drive or 0.0, self._in_range, self._in_steps),
        )
        if bad:
            raise ValueError(f"x must be finite, got NaN or infinity in {bad} of {x.shape[0] * x.shape[1]} vectors")
        return volts

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
        streams, factor = array.streams, array.compensation.factor.contiguous()
        draw = 0 if power is None else streams.draw(batch, y.shape[2]).count
        out = torch.empty((n_chips, batch, array.n_out))
        repeats = torch.empty(n_chips, dtype=torch.float64) if self._doublings else None
        self._kernels.finish(
            *(out.data_ptr(), y.data_ptr(), _address(power), factor.data_ptr(), _address(self._out_range)),
            *(_address(repeats), streams.keys.data_ptr(), draw, n_chips, batch, array.cfg.slices, array.n_out),
            *(self._out_steps, self._doublings),
        )
        return out, repeats


def _product(x: Tensor, view: Tensor | None) -> Tensor:
    """Multiply. Shape: (K, batch, in), (K, currents, in) to (K, batch, currents)."""
    assert view is not None
    return torch.mm(x[0], view[0].T).unsqueeze(0) if len(x) == 1 else torch.bmm(x, view.transpose(1, 2))


def _steps(bits: int) -> int:
    return 2 ** (bits - 1) - 1 if bits else 0


def _address(tensor: Tensor | None) -> int | None:
    return None if tensor is None else tensor.data_ptr()
