"""The reference's released classifier gives the published figures; skipped where its files are not there."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from agents.fewshot import few_shot_accuracy, load_published
from envs.characters import load_characters

WEIGHTS = Path(os.environ.get("PHASEARM_PUBLISHED_CHARACTERS", "shared/data/published_characters_weights.npz"))
DATA = Path(os.environ.get("PHASEARM_OMNIGLOT", "shared/data/omniglot_28.npz"))


@pytest.mark.skipif(not (WEIGHTS.exists() and DATA.exists()), reason=f"no {WEIGHTS} or no {DATA}")
def test_released_weights_give_the_published_accuracy():
    # Released weights, evaluation half, transductive, bright paper: 97.9 % after four steps; 30 tasks of 25 answers
    # spread by .5 points, three of which are allowed.
    torch.set_num_threads(1)
    published = load_published(WEIGHTS)
    family = load_characters(DATA, "test", "halves").bright_paper()
    tasks = family.sample(30, 5, 5, 5, np.random.default_rng(1000))
    found = few_shot_accuracy(published.learner, tasks, "transductive", published.start).mean(1)
    assert found[0] == pytest.approx(0.2, abs=0.02)
    assert found[-1] == pytest.approx(0.979, abs=0.015)
