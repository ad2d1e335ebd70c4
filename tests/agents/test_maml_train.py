"""Meta-training: it learns in seconds, resumes to the bit, and what it exports is what it trained."""

import numpy as np
import pytest
import torch

from agents import maml_checkpoint
from agents.augment import jitter
from agents.checkpoint import digest, load
from agents.fewshot import few_shot_accuracy
from agents.maml_checkpoint import export, maml_tensors, restore_maml
from agents.maml_train import MamlTrainCfg, MamlTrainer, plain_cfg
from envs.characters import Characters
from envs.glyphs import draw_glyphs
from tests.helpers import refuses_unchanged

TINY = {"iterations": 6, "round": 2, "ways": 3, "shots": (1,), "tasks": 2, "queries": 2, "threads": 1}


@pytest.fixture(scope="module")
def families():
    rng = np.random.default_rng(0)
    return [Characters(draw_glyphs(n, 20, rng), name) for n, name in ((60, "training"), (30, "validation"))]


@pytest.fixture
def _few_pictures(monkeypatch):
    monkeypatch.setattr(maml_checkpoint, "SETTLING_PICTURES", 256)
    monkeypatch.setattr(maml_checkpoint, "RANGE_TASKS", 2)


def trainer(families, **changes):
    return MamlTrainer(MamlTrainCfg(**TINY | changes), families[0], families[1], torch.device("cpu"))


def test_it_learns_features_that_help_with_new_characters(families):
    run = trainer(families, iterations=40, round=40, ways=8, shots=(3,), tasks=1, queries=3)
    tasks = families[1].sample(20, 10, 5, 5, np.random.default_rng(1))
    before = few_shot_accuracy(run.learner, tasks, "support")[-1].mean()
    line = run.run_round()
    after = few_shot_accuracy(run.learner, tasks, "support")[-1].mean()
    assert after > before + 0.1
    assert set(line) == {"iteration", "loss", "accuracy", "validation_accuracy"}
    assert line["iteration"] == 40


@pytest.mark.parametrize("changes", [{}, {"quantize": 4, "weight_noise": 0.05, "shots": (5,)}])
def test_a_resumed_run_ends_as_if_it_had_never_stopped(families, tmp_path, changes):
    whole, first = trainer(families, **changes), trainer(families, **changes)
    curve = [whole.run_round() for _ in range(3)]
    assert [first.run_round()] == curve[:1]
    first.save(tmp_path / "checkpoint.safetensors")
    second = trainer(families, **changes)
    second.resume(tmp_path / "checkpoint.safetensors")
    assert [second.run_round() for _ in range(2)] == curve[1:]
    assert digest(maml_tensors(second.learner)) == digest(maml_tensors(whole.learner))


def test_a_run_with_other_settings_is_not_resumed(families, tmp_path):
    trainer(families).save(tmp_path / "checkpoint.safetensors")
    with pytest.raises(ValueError, match=r"other settings .*'ways': \(3, 4\)"):
        trainer(families, ways=4).resume(tmp_path / "checkpoint.safetensors")


def test_the_large_net_takes_five_steps_with_a_biased_readout(families):
    run = trainer(families, net="large", ways=2, tasks=1, queries=1)
    run.step()
    assert run.learner.start(1, 2).shape == (1, 2, 257)
    assert len(run.learner.rates) == run.learner.inner.steps == 5
    assert trainer(families).learner.inner.steps == 4


def test_seeds_differ_and_repeat(families):
    digests = [
        digest(maml_tensors((run := trainer(families, seed=s)).learner)) + str(run.run_round()) for s in (0, 0, 1)
    ]
    assert digests[0] == digests[1] != digests[2]


@pytest.mark.usefixtures("_few_pictures")
def test_an_export_is_small_and_answers_as_the_trained_learner(families, tmp_path):
    run = trainer(families)
    run.run_round()
    export(tmp_path / "learner.safetensors", run.learner, run.family, plain_cfg(run.cfg))
    assert (tmp_path / "learner.safetensors").stat().st_size < 1_000_000
    tensors, header = load(tmp_path / "learner.safetensors")
    back = restore_maml(tensors, header)
    tasks = families[1].sample(4, 5, 5, 5, np.random.default_rng(1))
    torch.testing.assert_close(few_shot_accuracy(back, tasks), few_shot_accuracy(run.learner, tasks))
    assert tensors["calibration.pictures"].shape == (256, 28, 28)
    assert 0 < tensors["calibration.readout_range"] < 10
    assert header["train"]["ways"] == 3


@pytest.mark.usefixtures("_few_pictures")
def test_kernels_of_four_bits_are_exported_on_their_grid(families, tmp_path):
    run = trainer(families, quantize=4)
    run.run_round()
    export(tmp_path / "learner.safetensors", run.learner, run.family, plain_cfg(run.cfg))
    tensors, header = load(tmp_path / "learner.safetensors")
    for kernel in restore_maml(tensors, header).net.kernel:
        torch.testing.assert_close(kernel * 8, (kernel * 8).round())
        assert kernel.min() >= -1
        assert kernel.max() <= 0.875


@pytest.mark.usefixtures("_few_pictures")
def test_outliers_of_kernels_are_cut_when_they_are_handed_on(families, tmp_path):
    run = trainer(families, spread=1.0)
    before = [kernel.detach().clone() for kernel in run.learner.net.kernel]
    export(tmp_path / "learner.safetensors", run.learner, run.family, plain_cfg(run.cfg))
    for kernel, old in zip(restore_maml(*load(tmp_path / "learner.safetensors")).net.kernel, before, strict=True):
        size = old.flatten(1).square().mean(1).sqrt()[:, None, None, None]
        torch.testing.assert_close(kernel.detach(), torch.maximum(torch.minimum(old, size), -size))


def test_a_checkpoint_of_another_learner_is_refused():
    with pytest.raises(ValueError, match="learner 'delta'; choose from"):
        restore_maml({}, {"learner": "delta"})


def test_rates_are_learned_only_when_asked(families):
    from agents.maml import InnerCfg

    for learned in (True, False):
        run = trainer(families, inner=InnerCfg(learned_rate=learned))
        run.run_round()
        assert torch.equal(run.learner.rates, torch.full((4,), 0.1)) != learned


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"ways": 1}, "ways must be at least 2, got 1"),
        ({"shots": ()}, r"got \(\)"),
        ({"quantize": 1}, "quantize must be 0 .* got 1"),
        ({"rate": 2.0}, "rate must be above 0 and at most 1, got 2.0"),
        ({"weight_noise": -1.0}, "weight_noise must be 0 or more and finite, got -1.0"),
        ({"seed": -1}, "seed must be 0 to 4294967295, got -1"),
    ],
)
def test_settings_that_cannot_run_are_refused(changes, said):
    with pytest.raises(ValueError, match=said):
        MamlTrainCfg(**changes)


def test_jitter_moves_ink_a_little_and_paper_stays_paper(seeded):
    dot = torch.zeros(4000, 1, 28, 28)
    dot[:, :, 12:16, 12:16] = 1
    moved = jitter(dot, 1.0, seeded(0))
    assert jitter(dot, 0.0, seeded(0)) is dot
    assert moved[:, :, 0].abs().max() == 0
    place = torch.arange(28) - 13.5
    ink = moved.sum((1, 2, 3))
    x = (moved * place).sum((1, 2, 3)) / ink
    # a shift of .1 in units of half a side is 1.4 pixels; 4,000 draws know it to 1.1 %, and the matrix adds a little
    assert x.std() == pytest.approx(1.4, rel=0.1)
    assert x.mean() == pytest.approx(0, abs=0.1)


def test_a_spoilt_checkpoint_changes_nothing(families, tmp_path):
    run = trainer(families)
    run.step()
    run.save(tmp_path / "checkpoint.safetensors")
    refuses_unchanged(trainer(families), tmp_path / "checkpoint.safetensors")
