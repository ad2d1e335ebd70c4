"""Fitted devices by the native kernels: programmed, read by list, and walked line by line.

Every call gives what plain torch does in `pairs.py`, `strength.py` and `reading.py`, of the same random numbers; the
tests hold them against each other. Tensors lie on the CPU and are contiguous.
"""

from __future__ import annotations

import ctypes
from typing import Any, NamedTuple

import torch
from torch import Tensor

from .devices import DeviceState, FittedDevice
from .epochs import Epochs
from .fit_tables import tables_of
from .increments import Increments
from .native import library, spread
from .pulse_counts import BINS
from .streams import Draw


class Tally(NamedTuple):
    """What a write did and took. The first dimensions of the first two are slices, and their two steps."""

    bins: Tensor
    """Targets of each chip in each bin of `pulse_counts`. Shape: (slices, 2, K, bins + 1)."""
    in_row: Tensor
    """Conductances programmed in each row. Shape: (slices, 2, K, rows)."""
    saturated: Tensor
    """Cells set to the limit. Shape: (K,)."""
    seen_again: Tensor
    """Conductances read once more. Shape: (K,)."""
    error: Tensor
    """Standard deviation of what was made of each cell, in units of weights. Shape: (n,)."""


_Moments = tuple[Tensor, Tensor | None]


class FastDevices:
    """The kernels for one kind of fitted device."""

    def __init__(self, device: FittedDevice, noisy: bool) -> None:
        self._device, self._noisy = device, noisy
        tables = self._tables = tables_of(device.fit)
        noise = tables.noise if noisy else 0
        self._reader = (tables.q.data_ptr(), len(tables.q) - 1, tables.q_scale, tables.since_start, noise)
        self._still = (*self._reader[:-1], 0)  # without read noise
        self._fits = (tables.fits.data_ptr(), tables.fits.shape[1] - 1, tables.fit_scale)
        self._quiet = int(device.off_device == "ideal")

    @classmethod
    def of(cls, device: Any, state: Any, frozen_us: Tensor | None, noisy: bool) -> FastDevices | None:
        """Return the kernels for an array's devices; None: they do not apply, or there are none."""
        if not isinstance(device, FittedDevice) or frozen_us is not None or state.g_us.device.type != "cpu":
            return None
        return None if library() is None else cls(device, noisy)

    def program_all(self, state: DeviceState, index: int, aim_us: Tensor, draw: Draw) -> tuple[Tensor, Tensor]:
        """Program every device of one slice.

        Args:
            state: Shape (K, slices, 2, lines, rows); the slice is put in.
            index: Slice.
            aim_us: Wanted difference of every cell. Shape: (K or 1, lines, rows).
            draw: Of the devices of a slice.

        Returns:
            Sums of c^2, s^2, c^2 s^2 and s^4 over the rows of every line, float64, shape (K, lines, 4); and how many
            targets of each chip lie in each bin of `pulse_counts`, shape (K or 1, bins + 1).
        """
        n_chips, _, _, lines, rows = state.g_us.shape
        aim_us = aim_us.contiguous()
        sums = torch.empty((n_chips, lines, 4), dtype=torch.float64)
        counts = torch.zeros((len(aim_us), BINS + 1), dtype=torch.int64)
        g_us, nu = state.g_us[:, index], state.nu[:, index]
        before = (
            *(g_us.data_ptr(), nu.data_ptr(), state.g_us[0].numel(), sums.data_ptr()),
            *(aim_us.data_ptr(), len(aim_us) < n_chips, *self._fits, *self._reader, self._quiet),
            *(draw.keys.data_ptr(), draw.count),
        )
        after = (lines, rows, counts.data_ptr(), BINS / self._device.g_max_us)
        _spread("program_all", before, after, n_chips, g_us.numel())
        return sums, counts

    def program_list(
        self,
        state: DeviceState,
        epochs: Epochs,
        chip: Tensor,
        place: Tensor,
        flat: Tensor,
        target_us: Tensor,
        draw: Draw,
    ) -> DeviceState:
        """Program a list of devices at the present moment; the state is changed in place, what came of them returned.

        Args:
            state: Shape (K, slices, 2, lines, rows).
            epochs: Moments of programming.
            chip: Which chips. Shape: (n,).
            place: Numbers in the draw.
            flat: Places in the flattened state.
            target_us: Shape: (n,).
            draw: Of the devices of a slice.
        """
        new = DeviceState(torch.empty_like(target_us), torch.empty_like(target_us))
        target_us = target_us.contiguous()
        _kernels().program_list(
            *(state.g_us.data_ptr(), state.nu.data_ptr(), epochs.places().data_ptr(), epochs.present),
            *(new.g_us.data_ptr(), new.nu.data_ptr(), target_us.data_ptr(), *self._fits, self._quiet),
            *(draw.keys.data_ptr(), draw.count, chip.data_ptr(), place.data_ptr(), flat.data_ptr(), len(flat)),
        )
        return new

    def moments_list(
        self, state: DeviceState, epochs: Epochs, now_s: Tensor, chip: Tensor, flat: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        """Return mean and variance of a read of a list of devices. Shape of each: (n,)."""
        mean = torch.empty(len(flat))
        variance = torch.empty(len(flat)) if self._noisy else None
        aged, kept = self._aged(state, epochs, now_s)
        _kernels().moments_list(
            *(mean.data_ptr(), _address(variance), *aged, *self._reader),
            *(chip.data_ptr(), flat.data_ptr(), len(flat)),
        )
        del kept
        return mean, variance

    def view(
        self,
        state: DeviceState,
        epochs: Epochs,
        now_s: Tensor,
        per_us: Tensor,
        *,
        copies: int,
        still: bool = False,
        want_mean: bool = True,
        variance: torch.dtype | None = None,
    ) -> tuple[Tensor | None, Tensor | None]:
        """Return mean and variance of every cell in other units, the rows that hold the same weight merged.

        Args:
            state: Shape (K, slices, 2, lines, rows).
            epochs: Moments of programming.
            now_s: Clock reading. Shape: (K,).
            per_us: What a microsiemens of each line stands for. Shape: (K, slices, lines, 1).
            copies: Rows that hold the same weight.
            still: Without read noise, of which the mean knows only where its cut matters.
            want_mean: Whether the mean is wanted.
            variance: `torch.float32` or `torch.bfloat16`; None: it is not wanted.

        Returns:
            Shape of each: (K, slices * lines, rows / copies).
        """
        n_chips, slices, _, lines, rows = state.g_us.shape
        shape = (n_chips, slices * lines, rows // copies)
        mean = torch.empty(shape) if want_mean else None
        spread = torch.empty(shape, dtype=variance) if variance is not None and self._noisy else None
        per_us = per_us.contiguous()
        aged, kept = self._aged(state, epochs, now_s)
        before = (
            *(_address(mean), _address(spread), variance == torch.bfloat16, *aged),
            *(*(self._still if still else self._reader), per_us.data_ptr()),
        )
        _spread("view", before, (slices, lines, rows, copies), n_chips, state.g_us.numel())
        del kept
        return mean, spread

    def line_sums(self, state: DeviceState, epochs: Epochs, now_s: Tensor, chips: Tensor, edges: Tensor) -> Tensor:
        """Return sums of c^2, s^2, c^2 s^2 and s^4 over the rows of every line on each core, of a list of chips.

        Args:
            state: Shape (K, slices, 2, lines, rows).
            epochs: Moments of programming.
            now_s: Clock reading. Shape: (K,).
            chips: Which, int64. Shape: (n,).
            edges: First row of every core, and the end, int64. Shape: (cores + 1,).

        Returns:
            Shape (n, slices, lines, cores, 4), float64.
        """
        _, slices, _, lines, rows = state.g_us.shape
        sums = torch.empty((len(chips), slices, lines, len(edges) - 1, 4), dtype=torch.float64)
        aged, kept = self._aged(state, epochs, now_s)
        after = (edges.data_ptr(), len(edges) - 1, *aged, *self._reader, slices, lines, rows)
        _spread("line_sums", (sums.data_ptr(), chips.data_ptr()), after, len(chips), state.g_us.numel())
        del kept
        return sums

    def write_cells(
        self,
        state: DeviceState,
        epochs: Epochs,
        now_s: Tensor,
        increments: Increments,
        goal: Tensor | None,
        unit: Tensor,
        n_reads: int,
        draws: list[list[Draw]],
        sums: Tensor,
        edges: Tensor,
    ) -> Tally:
        """Write a list of cells as `programming.write_cells` does; state and sums are changed in place.

        Args:
            state: Shape (K, slices, 2, lines, rows).
            epochs: Moments of programming, the present one opened.
            now_s: Clock reading. Shape: (K,).
            increments: Which cells, and by how much.
            goal: Weights to aim at; None: what the read finds plus the increment. Shape: (n,).
            unit: Conductance per weight at the present factor, uS. Shape: (K, slices, lines, cores).
            n_reads: Reads that a verify averages.
            draws: Five for each slice.
            sums: Of the lines, shape (K, slices, lines, cores, 4), float64.
            edges: First row of every core, and the end, int64. Shape: (cores + 1,).
        """
        n_chips, slices, _, lines, rows = state.g_us.shape
        whole, zeros = [each.contiguous() for each in increments], torch.zeros((2, n_chips), dtype=torch.int64)
        bins = torch.zeros((slices, 2, n_chips, BINS + 1), dtype=torch.int64)
        in_row = torch.zeros((slices, 2, n_chips, rows), dtype=torch.int64)
        error, unit = torch.empty(len(whole[0])), unit.contiguous()
        goal = None if goal is None else goal.contiguous()
        counts = torch.tensor([[each.count for each in own] for own in draws])
        epochs.places()
        (g_us, nu, places, *aged), kept = self._aged(state, epochs, now_s)
        device = self._device
        before = (
            *(g_us, nu, places, epochs.present, *aged, *self._reader, *self._fits, self._quiet),
            *(draws[0][0].keys.data_ptr(), counts.data_ptr(), unit.data_ptr(), edges.data_ptr(), len(edges) - 1),
            *(n_chips, slices, lines, rows, device.g_max_us, device.off_limit_us, n_reads, BINS),
            *map(_address, (*whole, goal)),
        )
        after = tuple(each.data_ptr() for each in (sums, error, zeros[0], zeros[1], bins, in_row))
        parts = increments.parts(n_chips)  # each chip in one of them

        def write(first: int, last: int) -> None:
            _kernels().write_cells(*before, parts[first].start, parts[last - 1].stop, *after)

        spread(write, len(parts), len(error) * slices)
        del kept
        return Tally(bins, in_row, zeros[0], zeros[1], error)

    def move_sums(self, sums: Tensor, line: Tensor, before: _Moments, after: _Moments) -> None:
        """Replace what cells contribute to the sums of their lines, in place.

        Args:
            sums: Shape (..., 4), float64.
            line: Place of each cell's line in the flattened sums, int64. Shape: (n,).
            before: Mean and variance of a read of both devices, each of shape (2, n).
            after: The same.
        """
        moments = [None if each is None else each.contiguous() for each in (*before, *after)]
        _kernels().move_sums(sums.data_ptr(), line.data_ptr(), *map(_address, moments), len(line))

    def _aged(self, state: DeviceState, epochs: Epochs, now_s: Tensor) -> tuple[tuple[int | None, ...], Tensor]:
        """Return what the kernels take for devices of some ages, and the tensor to keep until they have run."""
        ages = (now_s.unsqueeze(1) - epochs.times_s).float()
        growth = torch.log1p(ages / self._device.t0_s).contiguous()
        where = (state.g_us.data_ptr(), state.nu.data_ptr(), _address(epochs.epoch), growth.data_ptr())
        return (*where, growth.shape[1]), growth


def _kernels() -> ctypes.CDLL:
    """Return the kernels; no object holds them, for they cannot be copied."""
    kernels = library()
    assert kernels is not None
    return kernels


def _spread(name: str, before: tuple[Any, ...], after: tuple[Any, ...], n: int, work: int) -> None:
    """Call a kernel whose range of rows stands between two lists of arguments."""
    kernel = getattr(_kernels(), name)
    spread(lambda first, last: kernel(*before, first, last, *after), n, work)


def _address(tensor: Tensor | None) -> int | None:
    return None if tensor is None else tensor.data_ptr()
