"""The classifier on chips: where nothing errs it is the one in software, and the account is that of the floor plan."""

from typing import NamedTuple

import numpy as np
import pytest
import torch

from agents.fewshot import few_shot_accuracy, task_inputs
from agents.maml import InnerCfg, MamlLearner, adapt, labels, logits_after, to_pictures
from agents.maml_checkpoint import settled
from agents.maml_chip import MamlChipCfg, adapt_on_chip, deploy_classifier
from agents.maml_evaluate import Classifier, FewShotCfg, evaluate_characters, steps_of
from envs.characters import Characters, Episodes
from envs.glyphs import draw_glyphs
from pcm_backend.floorplan import floor_plan

EXACT = MamlChipCfg(memory="ideal", bits=0, readout_headroom=100.0)


class Known(NamedTuple):
    learner: MamlLearner
    pictures: torch.Tensor
    tasks: Episodes
    family: Characters


@pytest.fixture(scope="module")
def known():
    """An untrained learner of the published size, its calibration, and three tasks of five ways and two shots."""
    family = Characters(draw_glyphs(16, 8, np.random.default_rng(0)), "glyphs")
    learner = MamlLearner(inner=InnerCfg(inner_rate=0.05)).requires_grad_(False)
    learner.net.draw(torch.Generator().manual_seed(0))
    pictures = torch.from_numpy(family.images[:, 0])
    turned = torch.cat([pictures.rot90(quarter, (1, 2)) for quarter in range(4)])  # as the chip settles
    learner.net.follow(settled(learner, turned), rate=1.0)
    return Known(learner, pictures, family.sample(3, 5, 2, 3, np.random.default_rng(1)), family)


def shown(drawings):
    return to_pictures(torch.from_numpy(drawings)).unflatten(0, (len(drawings), -1))


def deploy(known, cfg, n_chips=2):
    return deploy_classifier(known.learner, known.learner.start(1, 5)[0], known.pictures, cfg, n_chips, seed=3)


def lessons_on(chips, known, found):
    """Return the lessons of copies, given features for support and questions (K, T, n, F)."""
    support, questions = (each.flatten(0, 1) for each in found)
    return adapt_on_chip(chips.readout.copies(3), support, questions, known.learner.rates, chips.cfg)


def features_of(chips, known, norm):
    support, query = shown(known.tasks.support), shown(known.tasks.query)
    given = chips.features.settled if norm == "running" else None
    seen_known, statistics = chips.features.read(support, given)
    return seen_known, chips.features.read(query, statistics if norm == "support" else given)[0]


@pytest.mark.parametrize("norm", ["running", "support", "transductive"])
def test_without_errors_features_and_lessons_are_those_of_software(known, norm):
    chips = deploy(known, EXACT)
    found = features_of(chips, known, norm)
    tasks = known.tasks
    wanted = task_inputs(known.learner, torch.from_numpy(tasks.support), torch.from_numpy(tasks.query), norm)
    for ours, theirs in zip(found, wanted, strict=True):
        torch.testing.assert_close(ours, theirs.expand_as(ours), rtol=1e-4, atol=1e-4)
    lessons = lessons_on(chips, known, found)
    readouts = adapt(known.learner.start(3, 5), wanted.known, labels(5, 2), known.learner.rates)
    answers = logits_after(readouts, wanted.asked).repeat(1, 2, 1, 1)  # chip-major: the three tasks, twice
    torch.testing.assert_close(lessons.logits, answers, rtol=1e-3, atol=1e-3)
    assert not lessons.saturated.any()


def test_every_cell_is_counted_with_four_devices_and_kernels_lie_in_halves_on_two_cores(known):
    chips = deploy(known, MamlChipCfg(), n_chips=1)
    # 9 x 56 + 3 x 504 x 56 + 56 x 5 = 85,456 cells; 56 x 5 = 280 are plastic
    assert (chips.devices, chips.devices_rewritten) == (341_824, 1_120)
    crossbars = chips.features.deployed.crossbars
    assert [each.array_size for each in crossbars.values()] == [(9, 56), *[(504, 56)] * 3]
    plan = floor_plan({name: each.array_size for name, each in (crossbars | {"readout": chips.readout}).items()})
    assert plan.n_cores == 2
    assert sorted(p.row_stop - p.row_start for p in plan.placements) == [9, 56, *[252] * 6]


def test_the_first_kernel_may_fill_the_rows_below_it_on_the_same_two_cores(known):
    chips = deploy(known, MamlChipCfg(first_rows=28, looks=0), n_chips=1)
    # 27 x 9 x 56 cells more; a step programs no more than before
    assert (chips.devices, chips.devices_rewritten) == (341_824 + 4 * 27 * 9 * 56, 1_120)
    crossbars = chips.features.deployed.crossbars | {"readout": chips.readout}
    assert floor_plan({name: each.array_size for name, each in crossbars.items()}).n_cores == 2


def test_second_looks_leave_less_than_half_of_the_errors_of_kernels(known):
    errors = []
    for looks in (0, 2):
        chips = deploy(known, MamlChipCfg(looks=looks, age_s=0.0, read_noise="off"), n_chips=1)
        weights = list(chips.features.deployed.crossbars.values())[1].weights()
        errors.append((weights - known.learner.net.kernel[1].flatten(1)).square().mean())
    assert errors[1] < 0.5 * errors[0]


def test_batch_norm_on_exact_chips_is_that_of_software_whatever_the_pictures(known):
    """What a chip changes is nothing, so the running statistics stay, though ten pictures alone would give others."""
    chips = deploy(known, EXACT)
    chips.features.settle(to_pictures(known.pictures[:10]), known.learner.net)
    for ours, running in zip(chips.features.settled, known.learner.net.statistics(), strict=True):
        torch.testing.assert_close(ours, running.expand_as(ours), rtol=1e-3, atol=1e-4)
    own = chips.features.read(to_pictures(known.pictures[:10])[None])[1]
    assert (own.mean - known.learner.net.mean).abs().max() > 0.01


def test_a_step_pulses_no_more_than_it_programs_and_is_billed_to_its_task(known):
    chips = deploy(known, MamlChipCfg(output_doublings=0))
    inputs = features_of(chips, known, "running")
    before = chips.readout.ledger.snapshot()
    lessons = lessons_on(chips, known, inputs)
    assert lessons.pulsed.shape == (4, 6)
    assert (lessons.pulsed > 0).all()
    assert (lessons.pulsed <= chips.devices_rewritten).all()
    assert (lessons.bill.products == 4 * 10).all()  # four steps of ten drawings; the questions are not in it
    assert (lessons.bill.pulses > 0).all()
    assert chips.readout.ledger.energy_j().equal(before.energy_j())  # the chip as deployed is left alone


def test_chips_that_age_leave_the_young_ones_as_they_were(known):
    chips = deploy(known, MamlChipCfg(read_noise="off"), n_chips=1)
    support = shown(known.tasks.support)
    first = chips.features.read(support, chips.features.settled)[0]
    later = chips.features.aged(1e7)
    torch.testing.assert_close(chips.features.read(support, chips.features.settled)[0], first)
    assert (later.read(support, later.settled)[0] - first).abs().mean() > 1e-3


@pytest.mark.slow
def test_kernels_programmed_by_products_err_less(known):
    errors = []
    for programming in ("verify", "gdp"):
        chips = deploy(known, MamlChipCfg(programming=programming, age_s=0.0), n_chips=1)
        weights = list(chips.features.deployed.crossbars.values())[1].weights()
        errors.append((weights - known.learner.net.kernel[1].flatten(1)).square().mean())
    assert errors[1] < 0.9 * errors[0]


def test_same_seed_same_chips_and_the_first_of_many_is_the_only_one(known):
    (one, _), (many, _) = (deploy(known, MamlChipCfg(), n)[:2] for n in (1, 2))
    weights = [next(iter(each.deployed.crossbars.values())).weights() for each in (one, many)]
    torch.testing.assert_close(weights[0], weights[1][:1])


def classifier(known):
    return Classifier(known.learner, None, known.pictures, None)


def test_in_float_the_figures_are_those_of_software(known):
    asked = FewShotCfg(shots=2, queries=3, tasks=4, chips=2, scratch_tasks=0, chip=MamlChipCfg(memory="float"))
    told = []
    found = evaluate_characters(classifier(known), known.family, asked, told.append)
    tasks = known.family.sample(4, 5, 2, 3, np.random.default_rng([0, 5]))
    wanted = few_shot_accuracy(known.learner, tasks, "running")
    np.testing.assert_allclose(found["accuracy"], wanted.mean(1), rtol=1e-6)
    assert found["accuracy"] == found["software"]["accuracy"]
    assert len(told) == steps_of(asked)


def test_figures_do_not_depend_on_how_many_tasks_are_read_together(known, monkeypatch):
    from agents import drawings, maml_evaluate

    asked = FewShotCfg(shots=2, queries=3, tasks=4, chips=2, retention_s=(60.0,), scratch_tasks=0, chip=EXACT)
    whole = evaluate_characters(classifier(known), known.family, asked, lambda _: None)
    monkeypatch.setattr(drawings, "PICTURES_AT_ONCE", 1)
    monkeypatch.setattr(maml_evaluate, "TASKS_AT_ONCE", 3)
    parts = evaluate_characters(classifier(known), known.family, asked, lambda _: None)
    np.testing.assert_allclose(whole["accuracy"], parts["accuracy"], atol=1e-6)
    assert whole["retention"] == parts["retention"]
    assert whole["accuracy"] == pytest.approx(whole["software"]["accuracy"], abs=1e-6)
