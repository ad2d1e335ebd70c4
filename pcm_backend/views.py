"""What a read of every cell gives now, in units of weights, kept until something changes."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from .array import Array


def add_rows(volts: Tensor, view: Tensor | None, array: Array) -> Tensor:
    """Multiply with a view and add up the rows of each core.

    Shape: (K, batch, in), (K, slices * out, in) to (K, batch, currents): one for each slice, core of rows and line.
    """
    assert view is not None
    blocks = array.blocks
    if len(blocks) == 1:
        return torch.mm(volts[0], view[0].T).unsqueeze(0) if len(volts) == 1 else torch.bmm(volts, view.mT)
    view, volts = view.mT, volts.repeat(1, 1, array.cfg.rows_per_weight)
    sums = [torch.bmm(volts[..., rows], view[:, rows]) for rows in blocks]
    return torch.stack([each.unflatten(-1, (array.cfg.slices, -1)) for each in sums], -2).flatten(2)


class View:
    """Mean and variance of a read of every cell. Shape of each: (K, slices * out, in).

    On one core the rows that hold the same weight are one, on several `in` counts each of them.
    """

    def __init__(self, array: Array) -> None:
        self._array = array
        self._mean: Tensor | None = None
        self._variance: dict[torch.dtype, Tensor] = {}

    def mean(self) -> Tensor:
        """Return the mean."""
        if self._mean is None:
            self._look(torch.float32)
        assert self._mean is not None
        return self._mean

    def variance(self, dtype: torch.dtype = torch.float32) -> Tensor | None:
        """Return the variance; None: no noise is drawn.

        Args:
            dtype: `torch.bfloat16` where its 8 bits do: products add up the variances of many cells.
        """
        if self._array.cfg.read_noise != "each":
            return None
        if dtype not in self._variance:
            self._look(dtype)
        return self._variance[dtype]

    @torch.inference_mode(False)  # what is kept may be used outside of it
    @torch.no_grad()
    def _look(self, dtype: torch.dtype) -> None:
        array, fast = self._array, self._array.pairs.fast
        whole = len(array.blocks) == 1
        copies = array.cfg.rows_per_weight
        if fast is not None:
            mean, variance = fast.view(
                *(array.pairs.state.device, array.pairs.epochs, array.clock.now_s),
                1.0 / array.unit if whole else 1.0 / (array.unit * copies),
                copies=copies if whole else 1,
                want_mean=self._mean is None,
                variance=dtype,
            )
        else:
            mean, variance = self._walk(array.mean_of_rows if whole else lambda rows: rows / copies)
        if mean is not None:
            self._mean = mean
        if variance is not None:
            self._variance[dtype] = variance.to(dtype)

    def _walk(self, merge: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor | None]:
        """Return mean and variance by plain torch."""
        array = self._array
        mean, variance = array.pairs.moments()
        per_us, copies = 1.0 / array.unit, array.cfg.rows_per_weight
        mean = merge((mean[:, :, 0] - mean[:, :, 1]) * per_us).flatten(1, 2)
        if variance is not None:
            variance = (variance[:, :, 0] + variance[:, :, 1]) * per_us.square()
            variance = merge(variance).flatten(1, 2) / copies
        return mean, variance
