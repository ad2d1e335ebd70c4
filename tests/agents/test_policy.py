"""The policy at work: chips agree with software where they are ideal, every arm has its own head, meters add up."""

import numpy as np
import pytest
import torch

from agents.bill import Bill
from agents.chip import ChipCfg, ChipSubstrate, deploy_learner
from agents.episodes import make_arms, run_trial
from agents.evaluation import Arena, EvaluationCfg, Shipped, place, run_policy
from agents.metering import Metered
from agents.policy import DeltaPolicy, SoftwareSubstrate
from agents.retention import retention
from agents.shipped import load_shipped, shipped_path
from tests.helpers import PLANAR

CHIPS, TASKS, EPISODES = 2, 4, 3
EXACT = ChipCfg(memory="ideal", bits=0)


@pytest.fixture(scope="module")
def shipped():
    """The shipped learner, with room for the heads of bodies that it has not met."""
    found = load_shipped(shipped_path(PLANAR), PLANAR)
    return Shipped(found.learner, found.calibration | {"head_range": 10 * found.calibration["head_range"]})


@pytest.fixture(scope="module")
def arms():
    env = make_arms(PLANAR, CHIPS * TASKS, nthread=1)
    yield env
    env.close()


@pytest.fixture(scope="module")
def tasks(arms):
    return arms.unwrapped.sample_tasks(TASKS, split="test", seed=5)


def trial(arms, tasks, policy, n_episodes=EPISODES):
    return run_trial(arms, policy, tasks * CHIPS, [*range(TASKS)] * CHIPS, n_episodes)


def chip_policy(shipped, arms, cfg, seed=0, plastic=True):
    substrate = deploy_learner(shipped.learner, shipped.calibration, cfg, CHIPS, TASKS, seed)
    return DeltaPolicy(shipped.learner, substrate, arms.unwrapped.arm_cfg, plastic=plastic), substrate


@pytest.fixture(scope="module")
def in_software(shipped, arms, tasks):
    """The software policy's substrate, episodes and nothing else."""
    substrate = SoftwareSubstrate(shipped.learner, CHIPS * TASKS)
    episodes, _ = trial(arms, tasks, DeltaPolicy(shipped.learner, substrate, arms.unwrapped.arm_cfg))
    return substrate, episodes


def test_an_exact_chip_is_software(shipped, arms, tasks, in_software):
    """Over a trial with lessons; the encoder's grid lifts differences of rounding, so errors are compared, in rad."""
    software, episodes = in_software
    policy, chip = chip_policy(shipped, arms, EXACT)
    found, reports = trial(arms, tasks, policy)
    assert all(report.saturated.sum() == 0 for report in reports)
    for mine, theirs in zip(found, episodes, strict=True):
        np.testing.assert_allclose(mine.rmse_rad, theirs.rmse_rad, atol=1e-4)
    np.testing.assert_allclose(chip.head_array.weights(), software.weights, atol=1e-4 * software.weights.abs().max())


def test_an_exact_chip_acts_and_learns_as_software_from_the_same_episodes(shipped, arms, in_software):
    _, episodes = in_software
    substrate = SoftwareSubstrate(shipped.learner, CHIPS * TASKS)
    software, (chip, _) = (
        DeltaPolicy(shipped.learner, substrate, arms.unwrapped.arm_cfg),
        chip_policy(shipped, arms, EXACT),
    )
    for episode in episodes:
        for step in (0, 33, 99):
            seen = episode.observation[:, step]
            np.testing.assert_allclose(chip.act(seen), software.act(seen), atol=1e-4)
        for policy in (software, chip):
            policy.learn(episode)


def test_the_trial_taught_something(in_software):
    _, episodes = in_software
    assert episodes[-1].rmse_rad.mean() < 0.5 * episodes[0].rmse_rad.mean()


def test_arms_are_chip_major(shipped, arms, tasks, in_software):
    """The tasks of a chip share its fixed layers: on one observation, arms differ between chips and not within."""
    policy, chip = chip_policy(shipped, arms, ChipCfg(read_noise="off"))
    seen = np.tile(in_software[1][0].observation[:1, 50], (CHIPS * TASKS, 1))
    action = policy.act(seen).reshape(CHIPS, TASKS, 2)
    assert np.ptp(action, axis=1).max() < 1e-6
    assert np.abs(action[0, 0] - action[1, 0]).min() > 1e-4
    increment = torch.zeros(CHIPS * TASKS, *shipped.learner.head.shape)
    increment[TASKS + 2] = 1.0  # of chip 1, task 2
    before = chip.head_array.weights()
    chip.head_array.write(increment)
    moved = (chip.head_array.weights() - before).abs().amax((1, 2)) > 0.5
    assert moved.nonzero().flatten().tolist() == [TASKS + 2]


def test_same_seed_same_chip_and_more_chips_share_the_first(shipped, arms, in_software):
    seen = in_software[1][0].observation[:, 50]
    actions = [chip_policy(shipped, arms, ChipCfg(), seed)[0].act(seen) for seed in (1, 1, 2)]
    assert np.array_equal(actions[0], actions[1])
    assert not np.array_equal(actions[0], actions[2])
    still = ChipCfg(read_noise="off")
    few, more = (
        deploy_learner(shipped.learner, shipped.calibration, still, n_chips, 1, 3).head_array.weights()
        for n_chips in (2, 4)
    )
    assert torch.equal(few, more[:2])


def test_a_policy_that_is_never_written_stays(shipped, arms, tasks):
    policy, chip = chip_policy(shipped, arms, ChipCfg(read_noise="off"), plastic=False)
    before = chip.head_array.conductances_us().clone()
    _, reports = trial(arms, tasks, policy, 2)
    assert reports == [None]
    assert torch.equal(chip.head_array.conductances_us(), before)
    assert chip.head_array.ledger.devices.sum() == chip.head_array.copies(1).ledger.devices.sum()


def test_meter_adds_up(shipped, arms, tasks):
    policy, chip = chip_policy(shipped, arms, ChipCfg())
    start = chip.bill()
    meter = Metered(policy, chip)
    _, reports = trial(arms, tasks, meter)
    total = start.plus(meter.acting())
    for lesson in meter.lessons:
        total = total.plus(lesson)
    for name, mine, all_of_it in zip(Bill._fields, total, chip.bill(), strict=True):
        np.testing.assert_allclose(mine, all_of_it, rtol=1e-9, err_msg=name)
    for lesson, report in zip(meter.lessons, reports, strict=True):
        np.testing.assert_array_equal(lesson.devices, report.devices)
        assert (lesson.energy_low_j < lesson.energy_nominal_j).all()
        assert (lesson.energy_nominal_j < lesson.energy_high_j).all()
    assert not meter.acting().devices.any()  # acting writes nothing
    assert (meter.acting().products > 0).all()


def test_products_by_hand(shipped, arms, tasks):
    """Acting reads every layer once a step; a lesson once more for each of its steps, before its one write."""
    policy, chip = chip_policy(shipped, arms, ChipCfg(output_doublings=0))  # no product is repeated
    meter = Metered(policy, chip)
    trial(arms, tasks, meter, 2)
    cores = 5.0  # four fixed layers and the head, each within one core of 256 x 256
    np.testing.assert_allclose(meter.acting().products, 2 * 100 * cores)
    np.testing.assert_allclose(meter.lessons[0].products, 100 * cores)


def test_software_is_free(in_software):
    substrate, _ = in_software
    assert all(field.shape == (CHIPS * TASKS,) and not field.any() for field in substrate.bill())


def test_bills_add_and_subtract():
    one, two = (Bill(*(np.full(2, value) for _ in Bill._fields)) for value in (1.0, 5.0))
    assert {tuple(field) for field in one.plus(two)} == {(6.0, 6.0)}
    assert {tuple(field) for field in one.minus(two)} == {(-4.0, -4.0)}


@pytest.fixture(scope="module")
def arena():
    arena = Arena(EvaluationCfg(PLANAR, chips=CHIPS, tasks=TASKS, lessons=2, seed=3), "in_range")
    yield arena
    arena.close()


def flat(state):
    """Yield every number of a nested state."""
    for key, value in sorted(state.items()) if isinstance(state, dict) else enumerate(state):
        if isinstance(value, (dict, list, tuple)):
            yield from flat(value)
        else:
            yield key, value.tolist() if isinstance(value, torch.Tensor) else value


def test_a_rest_is_tried_out_and_undone(arena, shipped):
    substrate, n_chips = place(arena, shipped)
    assert isinstance(substrate, ChipSubstrate)
    run_policy(arena, shipped, substrate, n_chips, "policy")
    before = substrate.state()
    found = retention(arena, shipped, substrate, 3600.0 * 24 * 365)
    assert list(flat(substrate.state())) == list(flat(before))
    gain = found["before_rmse_rad"] - found["after_rmse_rad"]
    assert gain > 0
    for name in ("rested", "rested_uncompensated"):
        left = (found["before_rmse_rad"] - found[f"{name}_rmse_rad"]) / gain
        assert found[f"advantage_left_{name}"] == pytest.approx(left)
    assert found["age_s"] == 3600.0 * 24 * 365


def test_every_controller_meets_the_same_references_and_starts(arena, shipped):
    substrate, n_chips = place(arena, shipped)
    policy = DeltaPolicy(shipped.learner, substrate, arena.world(1).unwrapped.arm_cfg)
    still = DeltaPolicy(shipped.learner, SoftwareSubstrate(shipped.learner, TASKS), policy._arm, plastic=False)
    _, on_chips = arena.run(policy, "chips", n_chips)
    _, alone = arena.run(still, "still")
    for mine, theirs in zip(on_chips, alone, strict=True):
        references = mine.observation.reshape(CHIPS, TASKS, 101, 6, 2)[:, :, :, 2:5]
        for chip in references:
            np.testing.assert_array_equal(chip, theirs.observation.reshape(TASKS, 101, 6, 2)[:, :, 2:5])
        np.testing.assert_array_equal(mine.observation[:TASKS, 0, :4], theirs.observation[:, 0, :4])


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"chips": 0}, "chips must be at least 1, got 0"),
        ({"seed": -2}, "seed must be 0 to"),
        ({"env": "x"}, "unknown env"),
    ],
)
def test_impossible_protocols_are_named(wrong, text):
    with pytest.raises(ValueError, match=text):
        EvaluationCfg(**{"env": PLANAR} | wrong)


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"memory": "flash"}, "'flash'; choose from .*'float'.*'hermes_2'"),
        ({"age_s": -1.0}, "age_s must be 0 or more"),
        ({"periphery": "off"}, "'off'; choose from .*'hermes'.*'ideal'"),
    ],
)
def test_impossible_chips_are_named(wrong, text):
    with pytest.raises(ValueError, match=text):
        ChipCfg(**wrong)
