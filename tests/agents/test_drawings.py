"""Drawings of tasks read on chips: each once, and none goes to another task."""

import numpy as np
import pytest
import torch

from agents.convnet import ConvNetCfg, features
from agents.drawings import distinct_drawings, read_tasks
from agents.maml import MamlLearner, to_pictures
from agents.maml_checkpoint import settled
from agents.maml_chip import MamlChipCfg, deploy_classifier
from envs.characters import Characters
from envs.glyphs import draw_glyphs


@pytest.fixture(scope="module")
def family():
    return Characters(draw_glyphs(6, 5, np.random.default_rng(0)), "glyphs")


def test_every_drawing_is_found_where_its_task_shows_it(family):
    tasks = family.sample(40, 3, 2, 2, np.random.default_rng(1))
    parts = (tasks.support, tasks.query)
    pictures, where = distinct_drawings(parts)
    for part, index in zip(parts, where, strict=True):
        np.testing.assert_array_equal(pictures[index].numpy(), part.reshape(40, 6, 28, 28))
    assert len(pictures) == 30  # six characters of five drawings: 40 tasks show all of them
    assert len({each.numpy().tobytes() for each in pictures}) == 30


@pytest.mark.parametrize("transductive", [False, True])
def test_reads_are_those_of_software_and_what_tasks_share_is_read_and_billed_once(family, transductive):
    learner = MamlLearner(ConvNetCfg(channels=8)).requires_grad_(False)
    learner.net.draw(torch.Generator().manual_seed(0))
    pictures = torch.from_numpy(family.images.reshape(-1, 28, 28))
    learner.net.follow(settled(learner, pictures), rate=1.0)
    cfg = MamlChipCfg(memory="ideal", bits=0, readout_headroom=100.0)
    chips = deploy_classifier(learner, learner.start(1, 3)[0], pictures, cfg, 2, seed=3)
    tasks = family.sample(20, 3, 2, 2, np.random.default_rng(1))
    before = chips.features.deployed.ledger.products.clone()
    inputs, energy_j = read_tasks(chips.features, (tasks.support, tasks.query), transductive)
    read = chips.features.deployed.ledger.products - before
    whole = features(to_pictures(pictures), list(learner.net.kernel), learner.net.cfg, learner.net.statistics())[0]
    if not transductive:
        _, where = distinct_drawings((family.images[None], tasks.support, tasks.query))
        for ours, index in zip(inputs, where[1:], strict=True):
            torch.testing.assert_close(ours, whole[index].expand_as(ours), rtol=1e-3, atol=1e-3)
    # a picture is 14 x 14 + 7 x 7 + 4 x 4 + 2 x 2 = 265 products: of 30 drawings, or of each in 20 tasks of 12
    assert read.tolist() == [265.0 * (20 * 12 if transductive else 30)] * 2
    assert energy_j.shape == (2,)
    assert (energy_j > 0).all()
