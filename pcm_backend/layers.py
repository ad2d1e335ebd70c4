"""Layers on the chip: what they have in common, and the linear one."""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Self

from torch import Tensor, nn

from .crossbar import Crossbar
from .through import Matrix, Product, straight_through


class CrossbarLayer(nn.Module, ABC):
    """A layer whose products run on crossbars; what it does besides is digital.

    The products are named: a layer with one matrix calls it "", a recurrent one has several. They need not be
    crossbars: `through` puts straight-through products in their place, and a layer may run in software on float ones.
    """

    def __init__(self, products: Mapping[str, Product]) -> None:
        super().__init__()
        self.products = dict(products)

    @staticmethod
    @abstractmethod
    def matrices(layer: nn.Module) -> dict[str, Matrix]:
        """Return the matrices of torch's layer by name, as they lie on crossbars; differentiable in its parameters."""

    @classmethod
    @abstractmethod
    def like(cls, layer: nn.Module, products: Mapping[str, Product]) -> Self:
        """Return the layer that computes what torch's does, with these products."""

    @abstractmethod
    def on(self, products: Mapping[str, Product]) -> Self:
        """Return the same layer on other products."""

    @property
    def crossbars(self) -> dict[str, Crossbar]:
        """The products that are crossbars, by name."""
        return {name: each for name, each in self.products.items() if isinstance(each, Crossbar)}

    @property
    def crossbar(self) -> Crossbar:
        """The crossbar of a layer that has exactly one."""
        if len(self.crossbars) != 1:
            raise ValueError(f"{type(self).__name__} has crossbars {sorted(self.crossbars)}: use `crossbars[name]`")
        return next(iter(self.crossbars.values()))

    def copies(self, n_copies: int) -> Self:
        """Return the layer on K x T chips in this state, copy t of chip k in row k T + t."""
        return self.on({name: each.copies(n_copies) for name, each in self.crossbars.items()})

    def through(self, layer: nn.Module) -> Self:
        """Return this layer with the chip's values and the gradients of a float layer's exact products.

        Args:
            layer: Torch's layer; its parameters receive the gradients.
        """
        return self.on(
            {
                name: functools.partial(straight_through, self.products[name], weight=each.weight, bias=each.bias)
                for name, each in self.matrices(layer).items()
            }
        )

    def extra_repr(self) -> str:
        """Say what the crossbars are."""
        return ", ".join(f"{name}: {each!r}" if name else repr(each) for name, each in self.products.items())


class CrossbarLinear(CrossbarLayer):
    """A linear layer whose weights and bias lie on a crossbar."""

    def __init__(self, crossbar: Product) -> None:
        super().__init__({"": crossbar})

    @staticmethod
    def matrices(layer: nn.Module) -> dict[str, Matrix]:
        """Return weight and bias of an `nn.Linear`."""
        assert isinstance(layer, nn.Linear)
        return {"": Matrix(layer.weight, layer.bias)}

    @classmethod
    def like(cls, layer: nn.Module, products: Mapping[str, Product]) -> Self:
        """Return the layer on these products."""
        return cls(products[""])

    def on(self, products: Mapping[str, Product]) -> Self:
        """Return the same layer on other products."""
        return type(self)(products[""])

    def forward(self, x: Tensor) -> Tensor:
        """Multiply. Shape: (K, ..., in) to (K, ..., out)."""
        y = self.products[""](x.reshape(x.shape[0], -1, x.shape[-1]))
        return y.reshape(*x.shape[:-1], y.shape[-1])
