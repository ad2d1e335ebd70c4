"""A recurrent spiking layer's weights on the chip, read once for every step of the network."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .config import CrossbarCfg
from .crossbar import Crossbar
from .ledger import Ledger
from .through import straight_through
from .updates import Base
from .writing import WriteReport


class CrossbarSpiking:
    """Input and recurrent weights of a spiking layer on one array; the state of its neurons stays digital.

    Both kinds of rows share the lines, so a neuron's whole current is one sum and one conversion, and 5 inputs and 250
    neurons fit a core of 256 x 256. A row is driven at its level or rests. Without `input_level` all rows are driven at
    full scale, and the input's converter rounds nothing.
    """

    def __init__(self, crossbar: Crossbar, n_inputs: int, input_level: float | None = None) -> None:
        """Take a programmed array.

        Args:
            crossbar: Its first `n_inputs` rows are the inputs, the rest the neurons.
            n_inputs: Input rows.
            input_level: At what the inputs' rows are driven when those of the neurons are driven at 1; the crossbar's
                `in_range` must hold both. None: all at full scale.
        """
        if not 0 <= n_inputs <= crossbar.in_features:
            raise ValueError(f"n_inputs must be 0 to {crossbar.in_features}, the array's rows, got {n_inputs!r}")
        self.crossbar, self.n_inputs, self.input_level = crossbar, n_inputs, input_level
        self._levels = None
        if input_level is not None:
            self._levels = torch.ones(crossbar.in_features)
            self._levels[:n_inputs] = input_level

    @classmethod
    def program(
        cls,
        w_in: Tensor,
        w_rec: Tensor,
        cfg: CrossbarCfg | None = None,
        *,
        n_chips: int,
        generator: torch.Generator,
        input_level: float | None = None,
    ) -> CrossbarSpiking:
        """Program K chips.

        Args:
            w_in: Shape (neurons, inputs) or (K, neurons, inputs).
            w_rec: From neuron (last) to neuron, shape (neurons, neurons) or (K, neurons, neurons).
            cfg: How the array lies on the chip; one scale per line serves both matrices.
            n_chips: K.
            generator: Source of the chips' seed.
            input_level: As above.
        """
        weights = torch.cat([w_in, w_rec], -1)
        return cls(Crossbar(weights, cfg, n_chips=n_chips, generator=generator), w_in.shape[-1], input_level)

    def step(self, x: Tensor, z: Tensor) -> Tensor:
        """Return the currents of one step, read through the chip.

        Args:
            x: Spikes of the inputs now, anything but zero is one. Shape: (K, inputs), or (K, batch, inputs).
            z: Spikes of the neurons one step ago. Shape: (K, neurons), or (K, batch, neurons).

        Returns:
            Shape (K, neurons), or (K, batch, neurons).
        """
        rows = torch.cat([x, z], -1)
        batched = rows if rows.dim() == 3 else rows.unsqueeze(1)
        current = self.crossbar.spikes(batched, self._levels)
        return current if rows.dim() == 3 else current.squeeze(1)

    def step_through(self, x: Tensor, z: Tensor, w_in: Tensor, w_rec: Tensor) -> Tensor:
        """Return what `step` does, with the gradients of the exact products with float weights.

        Args:
            x: As in `step`, zero or one.
            z: As in `step`, zero or one.
            w_in: Float weights that receive gradients. Shape: (neurons, inputs) or (K, neurons, inputs).
            w_rec: The same, shape (neurons, neurons) or (K, neurons, neurons).
        """
        rows = torch.cat([x, z], -1)
        batched = rows if rows.dim() == 3 else rows.unsqueeze(1)
        driven = batched if self._levels is None else batched * self._levels

        def product(rows: Tensor) -> Tensor:
            return self.crossbar.spikes(rows, self._levels)

        current = straight_through(product, driven, torch.cat([w_in, w_rec], -1))
        return current if rows.dim() == 3 else current.squeeze(1)

    def write(self, delta_in: Tensor, delta_rec: Tensor, *, base: Base | None = None) -> WriteReport:
        """Add increments of both matrices in one write; cells whose increment is exactly 0 receive nothing.

        Args:
            delta_in: Shape (neurons, inputs) or (K, neurons, inputs).
            delta_rec: Shape (neurons, neurons) or (K, neurons, neurons).
            base: As in `Crossbar.write`.
        """
        return self.crossbar.write(torch.cat([delta_in, delta_rec], -1), base=base)

    def weights(self) -> tuple[Tensor, Tensor]:
        """Return both matrices as they stand now. Shape: (K, neurons, inputs), (K, neurons, neurons)."""
        weights = self.crossbar.weights()
        return weights[..., : self.n_inputs], weights[..., self.n_inputs :]

    @property
    def ledger(self) -> Ledger:
        """What these chips have spent; a step is one product."""
        return self.crossbar.ledger

    def advance(self, seconds: float, calibrate: bool = True) -> None:
        """Let time pass, then measure the compensation factors again unless `calibrate` is False."""
        self.crossbar.advance(seconds, calibrate)

    def recalibrate(self) -> None:
        """Measure the compensation factors now."""
        self.crossbar.recalibrate()

    def copies(self, n_copies: int) -> CrossbarSpiking:
        """Return K x T chips in this physical state, copy t of chip k in row k T + t, each with its own future."""
        return CrossbarSpiking(self.crossbar.copies(n_copies), self.n_inputs, self.input_level)

    def state_dict(self) -> dict[str, Any]:
        """Return everything that the chips' future depends on; the neurons are not the chip's."""
        return self.crossbar.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Become the chips of a state, to the bit."""
        self.crossbar.load_state_dict(state)

    def __repr__(self) -> str:
        """Say what the rows are."""
        n_neurons = self.crossbar.in_features - self.n_inputs
        return f"CrossbarSpiking({self.n_inputs} inputs and {n_neurons} neurons on {self.crossbar!r})"
