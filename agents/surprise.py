"""A lesson that surprises begins again: what earlier lessons added to the head is taken back in the same write.

Meta-training chose the head's start so that lessons from it lead somewhere; a head that another body taught is worse to
learn from than that start, since arms that it drives far from their reference see little of what they must learn. The
lesson shows it: in hindsight the head is far from the command that was issued. Nobody says that the body has changed.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .delta import DeltaCfg, Lesson

LEVEL = 1.5
"""Mean clipped error of a lesson, in network units, beyond which it begins again: the best of .8 to 2 on training
bodies of seeds 1000 and 1001. Less holds up bodies that learn slowly, more leaves more bodies with what misleads."""


def surprise(lesson: Lesson, cfg: DeltaCfg) -> Tensor:
    """Return how wrong the head was in hindsight: mean clipped |error| over time and joints, (N,), network units."""
    error = lesson.command - lesson.innate - lesson.head
    return error.clamp(-cfg.error_clip, cfg.error_clip).abs().mean(dim=(1, 2))


def take_back(lesson: Lesson, added: Tensor, level: float, cfg: DeltaCfg) -> tuple[Lesson, Tensor]:
    """Return the lesson as the head it begins with would have said it, and the increment that leads to that head.

    Where the lesson does not surprise the increment is zero and the lesson as it was. What the start says is the
    reading of the head, corrected by the sum of what was added; the chip is not read again.

    Args:
        lesson: Readings of N arms over T control steps.
        added: Sum of all increments so far, (N, J, D).
        level: Surprise beyond which the lesson begins again.
        cfg: The clip of the error.
    """
    again = (surprise(lesson, cfg) > level)[:, None, None]
    back = torch.where(again, -added, torch.zeros_like(added))
    return lesson._replace(head=lesson.head + lesson.features @ back.transpose(-1, -2)), back
