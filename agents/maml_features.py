"""The convolutions of the few-shot classifier on simulated chips, and what batch norm uses there."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .convnet import ConvNet, ConvNetCfg, Statistics, group_norm, group_statistics, readout_inputs, seen_statistics


class Features:
    """The convolutions on K chips, and the statistics that batch norm settled at on each of them."""

    def __init__(self, deployed: Any, cfg: ConvNetCfg, settled: Statistics | None = None) -> None:
        """Hold the layers.

        Args:
            deployed: The network that `as_module` gives, on K chips.
            cfg: Network.
            settled: Statistics (4, K, channels).
        """
        self.deployed, self.cfg, self._settled = deployed, cfg, settled
        self._layers = list(deployed.layers.values())

    @property
    def settled(self) -> Statistics:
        """The statistics (4, K, channels) that `settle` found."""
        assert self._settled is not None, "settle() comes first"
        return self._settled

    @torch.no_grad()
    def read(
        self, pictures: Tensor, given: Statistics | None = None, beyond: tuple[Statistics, Statistics] | None = None
    ) -> tuple[Tensor, Statistics]:
        """Return the readout's inputs for the pictures of tasks, the same on every chip.

        Args:
            pictures: (T, n, channels, 28, 28).
            given: Statistics to normalise with, for each chip (4, K, channels) or chip and task (4, K x T, channels);
                None: those of each task's own pictures as each chip puts them out.
            beyond: Without `given`: statistics of these pictures in software and those of many more, (4, 1, channels);
                what a chip changes in the former is applied to the latter.

        Returns:
            (K, T, n, n_inputs), and the statistics that were used.
        """
        tasks, n = pictures.shape[:2]
        n_chips = self._layers[0].crossbar.n_chips
        x = pictures.flatten(0, 1).expand(n_chips, -1, -1, -1, -1)
        used = []
        for number, layer in enumerate(self._layers):
            flat = layer(x).relu_().flatten(0, 1)  # (K T n, channels, rows, columns)
            if given is None:
                norm = group_statistics(flat, n_chips * tasks)
                norm = norm if beyond is None else _moved(norm, beyond, number)
            else:
                norm = given.mean[number], given.var[number]
            x = group_norm(flat, *norm, self.cfg.eps).unflatten(0, (n_chips, -1))
            used.append(norm)
        inputs = readout_inputs(x.flatten(0, 1), self.cfg).view(n_chips, tasks, n, -1)
        return inputs, Statistics(torch.stack([m for m, _ in used]), torch.stack([v for _, v in used]))

    def settle(self, pictures: Tensor, net: ConvNet) -> None:
        """Take the running statistics of a network, changed as each chip changes those of some pictures.

        So the choice of the pictures (n, channels, 28, 28) costs nothing; the reads are booked.
        """
        many = net.statistics()
        few = seen_statistics(pictures, list(net.kernel), net.cfg, many)
        self._settled = self.read(pictures[None], beyond=(few, many))[1]

    def aged(self, seconds: float) -> Features:
        """Return these chips later, compensated for drift; statistics stay, and so do these chips."""
        later = self.deployed.copies(1)
        later.advance(seconds)
        return Features(later, self.cfg, self._settled)


def _moved(own: tuple[Tensor, Tensor], beyond: tuple[Statistics, Statistics], layer: int) -> tuple[Tensor, Tensor]:
    """Return mean and variance (K, channels) of many pictures, from those that chips give for a few."""
    (mean, var), (few, many) = own, beyond
    silent = few.var[layer] <= 0
    ratio = var / few.var[layer].masked_fill(silent, 1.0)
    return many.mean[layer] + mean - few.mean[layer], torch.where(silent, var, many.var[layer] * ratio)
