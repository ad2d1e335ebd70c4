"""Recurrent layers on the chip: the matrices of the gates on crossbars, the gates themselves digital."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from itertools import chain
from typing import Any, ClassVar, NamedTuple, Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from .layers import CrossbarLayer
from .through import Matrix, Product


class Stack(NamedTuple):
    """How the cells of a recurrent layer are stacked, in torch's words."""

    hidden_size: int
    num_layers: int
    batch_first: bool
    bidirectional: bool
    dropout: float

    @classmethod
    def of(cls, layer: nn.RNNBase) -> Stack:
        """Read it off torch's layer."""
        if layer.proj_size:
            raise ValueError(f"proj_size must be 0 on the chip, got {layer.proj_size}: put a linear layer after it")
        return cls(layer.hidden_size, layer.num_layers, layer.batch_first, layer.bidirectional, float(layer.dropout))

    def cells(self) -> list[list[str]]:
        """Return torch's suffix of every cell: for each layer one, or one for each direction."""
        directions = ["", "_reverse"] if self.bidirectional else [""]
        return [[f"l{index}{direction}" for direction in directions] for index in range(self.num_layers)]


class _CrossbarRecurrent(CrossbarLayer):
    """What both kinds share: torch's way to stack cells and to order dimensions, with a first one of chips."""

    n_states: ClassVar[int]
    """Tensors that a cell hands on from step to step."""

    def __init__(self, products: Mapping[str, Product], stack: Stack) -> None:
        super().__init__(products)
        self.stack = stack

    @classmethod
    def like(cls, layer: nn.Module, products: Mapping[str, Product]) -> Self:
        """Return the layer on these products."""
        assert isinstance(layer, nn.RNNBase)
        return cls(products, Stack.of(layer))

    def on(self, products: Mapping[str, Product]) -> Self:
        """Return the same layer on other products."""
        return type(self)(products, self.stack)

    @abstractmethod
    def run(self, cell: str, x: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Run one cell over (K, steps, batch, in); return (K, steps, batch, hidden) and the last state."""

    def forward(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Run, as torch's layer does, with a first dimension of chips everywhere.

        Args:
            x: Shape (K, steps, batch, in); (K, batch, steps, in) with `batch_first`; or (K, steps, in).
            state: Start, zero where it is None: h, or (h, c) of an LSTM. Shape (K, layers x directions, batch, hidden);
                without a batch (K, layers x directions, hidden).

        Returns:
            Every h of the last layer, as x is laid out, directions side by side; and the last state of every cell.
        """
        if not isinstance(x, Tensor) or x.dim() not in (3, 4):
            raise ValueError(f"x must be a tensor of shape (K, steps, batch, in) or (K, steps, in), got {_describe(x)}")
        batched, swap = x.dim() == 4, self.stack.batch_first and x.dim() == 4
        x = x if batched else x.unsqueeze(2)
        y, ends = self._stacked(x.transpose(1, 2) if swap else x, self._start(x, state, batched, swap))
        y = y.transpose(1, 2) if swap else y
        last = [torch.stack(each, 1) for each in zip(*ends, strict=True)]
        if not batched:
            y, last = y.squeeze(2), [each.squeeze(2) for each in last]
        return y, last[0] if self.n_states == 1 else tuple(last)

    def _stacked(self, x: Tensor, starts: list[tuple[Tensor, ...]]) -> tuple[Tensor, list[tuple[Tensor, ...]]]:
        ends: list[tuple[Tensor, ...]] = []
        for index, cells in enumerate(self.stack.cells()):
            if index and self.stack.dropout:
                x = functional.dropout(x, self.stack.dropout, self.training)
            sides = []
            for cell in cells:
                backward = cell.endswith("_reverse")
                side, end = self.run(cell, x.flip(1) if backward else x, starts[len(ends)])
                sides.append(side.flip(1) if backward else side)
                ends.append(end)
            x = torch.cat(sides, -1) if len(sides) > 1 else sides[0]
        return x, ends

    def _start(self, x: Tensor, state: Any, batched: bool, swap: bool) -> list[tuple[Tensor, ...]]:
        n_cells = self.stack.num_layers * (2 if self.stack.bidirectional else 1)
        shape = (x.shape[0], n_cells, x.shape[1] if swap else x.shape[2], self.stack.hidden_size)
        given = () if state is None else state if isinstance(state, tuple) else (state,)
        tensors = [each if batched else each.unsqueeze(2) for each in given] or [x.new_zeros(shape)] * self.n_states
        if (shapes := [tuple(each.shape) for each in tensors]) != [shape] * self.n_states:
            raise ValueError(f"the state must be {self.n_states} of shape {shape}, got {shapes}")
        return [tuple(each[:, index] for each in tensors) for index in range(n_cells)]


class CrossbarLSTM(_CrossbarRecurrent):
    """An LSTM: the input and recurrent matrix of a cell side by side on the same lines, one crossbar a cell.

    A gate needs only their sum, which the line's current is: one product and one conversion a step instead of two. Its
    price is one full scale for x and h: an input much larger than 1 leaves h few steps of the converter, so scale it.
    """

    n_states = 2

    @staticmethod
    def matrices(layer: nn.Module) -> dict[str, Matrix]:
        """Return [W_ih, W_hh] and the sum of both biases of every cell of an `nn.LSTM`. Shape: (4 hidden, in + hidden).

        The lines are torch's: input, forget, cell, output gate.
        """
        assert isinstance(layer, nn.LSTM)
        matrices: dict[str, Matrix] = {}
        for cell in chain(*Stack.of(layer).cells()):
            weights, biases = _of_cell(layer, cell)
            matrices[cell] = Matrix(torch.cat(weights, 1), biases[0] + biases[1] if biases else None)
        return matrices

    def run(self, cell: str, x: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Run one cell: c = f c + i g, h = o tanh(c)."""
        product, (h, c), outputs = self.products[cell], state, []
        for step in x.unbind(1):
            gates = product(torch.cat([step, h], -1))
            i, f, g, o = gates.chunk(4, -1)
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            h = torch.sigmoid(o) * torch.tanh(c)
            outputs.append(h)
        return torch.stack(outputs, 1), (h, c)


class CrossbarGRU(_CrossbarRecurrent):
    """A GRU: two crossbars a cell, one for the input and one for h.

    The reset gate multiplies the candidate's recurrent part alone, before the sum, so the two cannot share lines. The
    input's products of all steps are then one batch.
    """

    n_states = 1

    @staticmethod
    def matrices(layer: nn.Module) -> dict[str, Matrix]:
        """Return W_ih and W_hh with their biases of every cell of an `nn.GRU`: "ih_l0" and "hh_l0".

        The lines are torch's: reset, update, candidate.
        """
        assert isinstance(layer, nn.GRU)
        matrices: dict[str, Matrix] = {}
        for cell in chain(*Stack.of(layer).cells()):
            weights, biases = _of_cell(layer, cell)
            for index, side in enumerate(("ih", "hh")):
                matrices[f"{side}_{cell}"] = Matrix(weights[index], biases[index] if biases else None)
        return matrices

    def run(self, cell: str, x: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Run one cell: n = tanh(x part + r (h part)), h = n + z (h - n)."""
        product, h, outputs = self.products[f"hh_{cell}"], state[0], []
        inputs = self.products[f"ih_{cell}"](x.flatten(1, 2)).unflatten(1, x.shape[1:3])
        for step in inputs.unbind(1):
            from_h = product(h)
            from_x, candidate_x = step.split([2 * self.stack.hidden_size, self.stack.hidden_size], -1)
            r, z = torch.sigmoid(from_x + from_h[..., : 2 * self.stack.hidden_size]).chunk(2, -1)
            n = torch.tanh(candidate_x + r * from_h[..., 2 * self.stack.hidden_size :])
            h = n + z * (h - n)
            outputs.append(h)
        return torch.stack(outputs, 1), (h,)


def _of_cell(layer: nn.RNNBase, cell: str) -> tuple[list[Tensor], list[Tensor]]:
    """Return the input and the recurrent matrix of a cell, and their biases or nothing."""
    weights = [getattr(layer, f"weight_{side}_{cell}") for side in ("ih", "hh")]
    return weights, [getattr(layer, f"bias_{side}_{cell}") for side in ("ih", "hh")] if layer.bias else []


def _describe(x: Any) -> str:
    return f"shape {tuple(x.shape)}" if isinstance(x, Tensor) else type(x).__name__
