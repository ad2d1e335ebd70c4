"""A read by the native kernels: everything beside the matrix products in two passes, and single vectors in one.

It gives what the stages of `reading.py` do, of the same random numbers, but for the products' own rounding. Variances
may be multiplied in 16 bits: a product adds up those of many cells, so noise keeps its deviation to a thousandth.
"""

from __future__ import annotations

import ctypes
from typing import NamedTuple

import torch
from torch import Tensor

from .array import Array
from .native import library, multiplies_halves, spread
from .patches import Patches
from .views import View, add_rows

_KEPT_BYTES = 1 << 23
"""Room that is kept from read to read, at most: fresh memory costs page faults, as much as a converter."""


_HALVES_FROM = 64
"""Vectors of a batch from which a product in 16 bits pays: torch puts the matrix in another order first."""


class _Room(NamedTuple):
    """Where the parts of a read of some shape are put."""

    volts: Tensor
    """Shape: (K, batch, in)."""
    squares: Tensor | None
    y: Tensor
    """Shape: (K, batch, currents)."""
    power: Tensor | None


class FastRead:
    """The read of one array whose periphery does not err."""

    def __init__(self, array: Array, out_range: Tensor | None) -> None:
        cfg = array.cfg
        self._array = array
        self._parts = cfg.slices * len(array.blocks)
        self._out_range = None if out_range is None else out_range.float().contiguous()
        self._in_steps, self._out_steps = (float(_steps(bits)) for bits in (cfg.dac_bits, cfg.adc_bits))
        self._in_range = cfg.in_range or 0.0
        self._doublings = cfg.out_doublings if out_range is not None and cfg.adc_bits > 0 else 0
        self._half = torch.bfloat16 if multiplies_halves() else torch.float32  # of variances in products of matrices
        self._noisy = cfg.read_noise == "each"
        self._rooms: dict[tuple[int, int], _Room] = {}

    def __call__(self, x: Tensor, view: View) -> tuple[Tensor, Tensor | None]:
        """Read. Shape: (K, batch, in without the bias) to (K, batch, out), and the doublings of each chip, if any.

        Raises:
            ValueError: An input is not finite.
        """
        if len(self._array.blocks) > 1:
            return self._on_cores(x, view)
        room = self._room(x.shape[0], x.shape[1])
        self._drive(x, room.volts, room.squares)
        if x.shape[1] == 1:
            self._multiply_vectors(room, view)
        else:
            _multiply(room.volts, view.mean(), room.y)
            if room.squares is not None and room.power is not None:
                _multiply(room.squares, view.variance(room.squares.dtype), room.power)
        return self._finish(room.y, room.power)

    def pictures(self, x: Tensor, patches: Patches, view: View) -> tuple[Tensor, Tensor | None]:
        """Read every patch of pictures; the input's converter has one full scale for all.

        Shape: (K, batch, channels, height, width) to (K, batch x patches, out), and the doublings of each chip, if any.
        """
        array, pictures = self._array, patches.arranged(x)
        volts = torch.empty_like(pictures)
        squares = torch.empty_like(pictures) if self._noisy else None
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
        _kernels().spike_sums(*(spikes.data_ptr(), rows.data_ptr(), y.data_ptr(), _address(power)), *spikes.shape, n)
        return self._finish(y, power)

    def _on_cores(self, x: Tensor, view: View) -> tuple[Tensor, Tensor | None]:
        """Read an array whose rows lie on several cores."""
        volts = torch.empty((*x.shape[:2], self._array.n_in))
        squares = torch.empty_like(volts) if self._noisy else None
        self._drive(x, volts, squares)
        y = add_rows(volts, view.mean(), self._array)
        return self._finish(y, None if squares is None else add_rows(squares, view.variance(), self._array))

    def _room(self, n_chips: int, batch: int) -> _Room:
        room = self._rooms.get((n_chips, batch))
        if room is not None:
            return room
        array, dtype = self._array, self._half if batch >= _HALVES_FROM else torch.float32
        inner, outer = (n_chips, batch, array.n_in), (n_chips, batch, array.lines)
        with torch.inference_mode(False):  # it may be used outside of it next time
            squares = torch.empty(inner, dtype=dtype) if self._noisy and batch > 1 else None
            power = torch.empty(outer, dtype=dtype) if self._noisy else None
            room = _Room(torch.empty(inner), squares, torch.empty(outer), power)
        if sum(each.nbytes for each in room if each is not None) <= _KEPT_BYTES:
            self._rooms = {(n_chips, batch): room}  # the last shape alone
        return room

    def _drive(self, x: Tensor, volts: Tensor, squares: Tensor | None) -> None:
        """Convert vectors and append the row of the bias, into a tensor for it and one for its squares."""
        shape = (x.shape[0] * x.shape[1], x.shape[2])
        self._drive_into(x.contiguous(), volts, squares, shape, self._array.drive)

    def _drive_into(
        self, x: Tensor, volts: Tensor, squares: Tensor | None, shape: tuple[int, int], drive: float | None
    ) -> None:
        half = squares is not None and squares.dtype is torch.bfloat16
        bad = _kernels().drive(
            *(x.data_ptr(), volts.data_ptr(), _address(squares), half, *shape),
            *(drive is not None, drive or 0.0, self._in_range, self._in_steps),
        )
        if bad:
            raise ValueError(f"x must be finite, got NaN or infinity in {bad} of {shape[0]} vectors")

    def _multiply_vectors(self, room: _Room, view: View) -> None:
        """Multiply one vector with each chip's matrix, and its square with the variances."""
        mean, variance = view.mean(), view.variance(torch.bfloat16) if self._noisy else None
        tensors = (room.volts, mean, variance, room.y, room.power)
        addresses, (n_chips, *size), kernel = [*map(_address, tensors)], mean.shape, _kernels().products
        spread(lambda first, last: kernel(*addresses, first, last, *size), n_chips, mean.numel())

    def _finish(self, y: Tensor, power: Tensor | None) -> tuple[Tensor, Tensor | None]:
        array, (n_chips, batch, _) = self._array, y.shape
        draw = array.streams.next_draw() if power is not None else 0
        out = torch.empty((n_chips, batch, array.n_out))
        repeats = torch.empty(n_chips, dtype=torch.float64) if self._doublings else None
        factor = array.compensation.of_currents().contiguous()
        half = power is not None and power.dtype is torch.bfloat16
        before = (
            *(out.data_ptr(), y.data_ptr(), _address(power), half, factor.data_ptr()),
            *(_address(self._out_range), _address(repeats), array.streams.keys.data_ptr(), draw),
        )
        after, kernel = (batch, self._parts, array.n_out, self._out_steps, self._doublings), _kernels().finish
        spread(lambda first, last: kernel(*before, first, last, *after), n_chips, y.numel())
        return out, repeats


def _multiply(x: Tensor, view: Tensor | None, out: Tensor) -> None:
    """Multiply. Shape: (K, batch, in), (K, currents, in) to (K, batch, currents)."""
    assert view is not None
    if len(x) == 1:
        torch.mm(x[0], view[0].T, out=out[0])
    else:
        torch.bmm(x, view.transpose(1, 2), out=out)


def _steps(bits: int) -> int:
    return 2 ** (bits - 1) - 1 if bits else 0


def _kernels() -> ctypes.CDLL:
    """Return the kernels; no object holds them, for they cannot be copied."""
    kernels = library()
    assert kernels is not None
    return kernels


def _address(tensor: Tensor | None) -> int | None:
    return None if tensor is None else tensor.data_ptr()
