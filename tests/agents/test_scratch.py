"""Training from scratch: it learns its support by heart, and that is another thing than knowing the characters."""

import numpy as np
import torch

from agents.baselines.scratch import ScratchCfg, scratch_accuracy
from envs.characters import Characters
from envs.glyphs import draw_glyphs


def test_the_support_is_learned_by_heart_and_nothing_before_that(seeded):
    family = Characters(draw_glyphs(12, 8, np.random.default_rng(0)), "glyphs")
    tasks = family.sample(2, 5, 3, 5, np.random.default_rng(1))
    known, asked = scratch_accuracy(tasks, seeded(0))
    assert known.shape == asked.shape == (2,)
    assert known.min() == 1
    assert 0.3 < asked.mean() < 1
    untouched = scratch_accuracy(tasks, seeded(0), ScratchCfg(steps=0))
    torch.testing.assert_close(torch.stack(untouched), torch.full((2, 2), 0.2))
