"""A layer of torch run on chips, without a dimension of chips: the samples of a batch are dealt to them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from torch.utils._pytree import tree_map

from .kinds import kind_of
from .through import Product


class Deal:
    """How one call's samples are dealt to chips: in equal parts, in their order, so every layer deals them alike."""

    def __init__(self, layer: nn.Module, args: tuple[Any, ...], at_most: int) -> None:
        """Deal.

        Args:
            layer: Torch's layer.
            args: What it is called with.
            at_most: Chips; as many are used as divide the batch evenly, one where there is no batch.
        """
        self._layer, self._args = layer, args
        x = args[0]
        if isinstance(layer, nn.RNNBase):
            self._dims = (None, None) if x.dim() == 2 else (0 if layer.batch_first else 1, 1)
        else:
            self._dims = (0 if x.dim() > 1 else None,) * 2
        batch = 1 if self._dims[0] is None else x.shape[self._dims[0]]
        self.n_chips = max(n for n in range(1, at_most + 1) if batch % n == 0)

    def run(self, products: Mapping[str, Product]) -> Any:
        """Run the layer on products of `n_chips` chips; what comes back is laid out as torch's layer does it."""
        x, *states = (tree_map(self._spread(dim), each) for dim, each in zip(self._all_dims(), self._args, strict=True))
        y = kind_of(self._layer).like(self._layer, products)(x, *states)
        if not isinstance(y, tuple):
            return self._gathered(self._dims[0])(y)
        return self._gathered(self._dims[0])(y[0]), *(tree_map(self._gathered(self._dims[1]), each) for each in y[1:])

    def _all_dims(self) -> list[int | None]:
        return [self._dims[0], *[self._dims[1]] * (len(self._args) - 1)]

    def _spread(self, dim: int | None) -> Any:
        def spread(x: Any) -> Any:
            if not isinstance(x, Tensor):
                return x
            return x.unsqueeze(0) if dim is None else x.unflatten(dim, (self.n_chips, -1)).movedim(dim, 0)

        return spread

    def _gathered(self, dim: int | None) -> Any:
        return lambda y: y.squeeze(0) if dim is None else y.movedim(0, dim).flatten(dim, dim + 1)


class Stand(nn.Module):
    """A layer that runs in software on one's own products."""

    def __init__(self, layer: nn.Module, products: Mapping[str, Product]) -> None:
        super().__init__()
        self._layer, self._products = [layer], products  # in a list: its parameters belong to the layer itself

    def forward(self, *args: Any) -> Any:
        """Run the layer."""
        return Deal(self._layer[0], args, 1).run(self._products)
