"""Families of tasks for few-shot learning: tell N characters apart, each known from K drawings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from .glyphs import SIDE, draw_glyphs
from .omniglot import Part, Split, load_omniglot

GLYPHS = {"train": 1024, "validation": 160, "test": 400}  # characters drawn for each part
GLYPH_DRAWINGS = 20

Source = Literal["glyphs", "omniglot"]


@dataclass(frozen=True)
class Episodes:
    """Tasks drawn from a family; a character's label is its place among the N."""

    support: np.ndarray
    """uint8, (tasks, N, K, 28, 28): what is learned from."""
    query: np.ndarray
    """uint8, (tasks, N, Q, 28, 28): what is asked, other drawings of the same characters."""
    character: np.ndarray
    """(tasks, N): which character of the family each is; no character twice in a task."""


@dataclass(frozen=True)
class Characters:
    """A family of characters."""

    images: np.ndarray
    """uint8, (characters, drawings, 28, 28)."""
    name: str
    """Where they are from."""

    def __len__(self) -> int:
        """Return the number of characters."""
        return self.images.shape[0]

    def rotated(self) -> Characters:
        """Return a family in which each character, turned by 0, 90, 180 and 270 degrees, is four characters."""
        turned = [np.rot90(self.images, quarter, axes=(2, 3)) for quarter in range(4)]
        return Characters(np.ascontiguousarray(np.concatenate(turned)), f"{self.name}, rotated")

    def mirrored(self) -> Characters:
        """Return the family seen in a mirror."""
        return Characters(np.ascontiguousarray(self.images[..., ::-1]), f"{self.name}, mirrored")

    def bright_paper(self) -> Characters:
        """Return the family with dark ink on bright paper, as the reference shows its pictures."""
        return Characters(255 - self.images, f"{self.name}, bright paper")

    def check(self, ways: int, shots: int, queries: int) -> None:
        """Refuse tasks that the family cannot fill.

        Raises:
            ValueError: More ways than characters, or more drawings than there are.
        """
        count, drawings = self.images.shape[:2]
        if not 2 <= ways <= count:
            raise ValueError(f"ways must be 2 to {count}, the characters of {self.name}; got {ways}")
        for name, number in (("shots", shots), ("queries", queries)):
            if not 1 <= number < drawings:
                raise ValueError(f"{name} must be 1 to {drawings - 1}, got {number}")
        if shots + queries > drawings:
            wanted = f"{shots} shots and {queries} queries"
            raise ValueError(f"{wanted} need more than the {drawings} drawings of a character")

    def sample(self, n_tasks: int, ways: int, shots: int, queries: int, rng: np.random.Generator) -> Episodes:
        """Return tasks of characters and drawings drawn without replacement; raises as `check` does."""
        self.check(ways, shots, queries)
        count, drawings = self.images.shape[:2]
        character = np.stack([rng.choice(count, ways, replace=False) for _ in range(n_tasks)])
        order = rng.random((n_tasks, ways, drawings)).argsort(-1)[..., : shots + queries]
        pictures = self.images[character[..., None], order]
        return Episodes(pictures[:, :, :shots], pictures[:, :, shots:], character)


def check_family(images: np.ndarray) -> None:
    """Refuse an array that is no family of characters."""
    if images.ndim != 4 or images.shape[2:] != (SIDE, SIDE) or images.dtype != np.uint8:
        raise ValueError(f"characters must be uint8 (characters, drawings, 28, 28), got {images.dtype} {images.shape}")


def load_characters(source: str | Path, part: Part, split: Split = "vinyals") -> Characters:
    """Return a family of characters that shares none with the other parts.

    Args:
        source: `glyphs`, drawn on the fly; `omniglot`, downloaded once; or a file of Omniglot's arrays.
        part: `train`, `validation` or `test`.
        split: For Omniglot: Vinyals' fixed split, or its background and evaluation `halves`.

    Raises:
        ValueError: Unknown part, or a file that is not Omniglot's.
        OSError: No such file, or the download failed.
    """
    if str(source) == "glyphs":
        if part not in GLYPHS:
            raise ValueError(f"glyphs have no part {part!r}; choose from {sorted(GLYPHS)}")
        rng = np.random.default_rng([list(GLYPHS).index(part), 20240513])  # a stream of characters for each part
        images = draw_glyphs(GLYPHS[part], GLYPH_DRAWINGS, rng)
        return Characters(images, f"drawn glyphs, {part}")
    omniglot = load_omniglot(None if str(source) == "omniglot" else Path(source))
    images = omniglot.part(part, split)
    check_family(images)
    return Characters(images, f"Omniglot, {part} of {split}")


def describe(families: Sequence[Characters]) -> str:
    """Return how many characters each family has, for people."""
    return "; ".join(f"{len(family)} characters of {family.name}" for family in families)
