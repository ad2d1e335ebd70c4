"""Laws of tasks: bands and splits follow from values, values survive every form, and the benchmark stays what it is."""

import copy
import hashlib
import pickle
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envs.dynamics import BANDS, DAMAGE_RANGES, POOL_SIZE, STARRED, draw, length_pool, n_uniforms, parameters
from envs.models import ARMS
from envs.tasks import Seeds, Task, draw_tasks, make_tasks, sample_tasks, seeded

# The published benchmark: sample_tasks(100, split="test", seed=0). A change here makes every score incomparable.
BENCHMARK = {
    "planar": "d7e20f6dc6b45d2c",
    "scorbot": "3e7e4bfdd5644457",
}
arms, bands, seeds = st.sampled_from(sorted(ARMS)), st.sampled_from(BANDS), st.integers(0, 2**32)


def sample(arm, n, band="in_range", split="train", seed=0):
    return sample_tasks(ARMS[arm], n, band, split, np.random.default_rng(seed))


def outside_in_range(task):
    """Return the parameters of a task beyond their in-range range, told without the code under test."""
    cfg, beyond = ARMS[task.arm], set()
    for parameter in parameters(cfg):
        values = np.atleast_1d(task.params[parameter.name]).astype(float)
        low, high = parameter.bands[0]
        if parameter.name == "actuator_gain":
            damaged = values < low
            if damaged.sum() > 1 or (values[damaged] < DAMAGE_RANGES[0][0]).any() or (values > high).any():
                beyond.add(parameter.name)
            continue
        scale = np.array(parameter.scale)
        if (values < low * scale - 1e-6).any() or (values > high * scale + 1e-6).any():
            beyond.add(parameter.name)
    return beyond


@given(arm=arms, band=bands, split=st.sampled_from(["train", "test"]), seed=seeds)
@settings(max_examples=60, deadline=None)
def test_drawn_tasks_lie_where_they_were_asked_for(arm, band, split, seed):
    for task in sample(arm, 4, band, split, seed):
        assert (task.band, task.split) == (band, split)
        beyond = outside_in_range(task)
        assert len(beyond) == (0 if band == "in_range" else 1)
        assert beyond <= set(STARRED)
        assert task.require_split(split) is task


@given(arm=arms, band=bands, corner=st.lists(st.sampled_from([0.0, 0.5, 1.0 - 2**-53]), min_size=40, max_size=40))
@settings(max_examples=100, deadline=None)
def test_bands_hold_at_the_corners_of_the_ranges(arm, band, corner):
    cfg = ARMS[arm]
    assert [task.band for task in make_tasks(cfg, band, np.array([corner[: n_uniforms(cfg)]]))] == [band]


@given(arm=arms, band=bands, seed=seeds)
@settings(max_examples=30, deadline=None)
def test_every_form_gives_the_same_task_back(arm, band, seed):
    task = sample(arm, 1, band, "test", seed)[0]
    for other in (
        Task.from_json(task.to_json()),
        pickle.loads(pickle.dumps(task)),
        copy.deepcopy(task),
        Task(task.arm, task.params),
    ):
        assert (other, hash(other), other.band, other.split) == (task, hash(task), task.band, task.split)


@pytest.mark.parametrize("arm", sorted(ARMS))
def test_benchmark_is_pinned(arm):
    text = "\n".join(task.to_json() for task in sample(arm, 100, split="test"))
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == BENCHMARK[arm]


@pytest.mark.parametrize("arm", sorted(ARMS))
def test_one_fifth_is_for_testing_and_no_task_is_on_both_sides(arm):
    cfg = ARMS[arm]
    tasks = make_tasks(cfg, "in_range", np.random.default_rng(0).random((3000, n_uniforms(cfg))))
    share = np.mean([task.split == "test" for task in tasks])
    assert share == pytest.approx(0.2, abs=4 * np.sqrt(0.16 / 3000))
    assert not set(sample(arm, 300)) & set(sample(arm, 300, split="test"))


@pytest.mark.parametrize("band", ["mild", "hard"])
def test_starred_parameters_leave_their_range_equally_often(band):
    count = Counter(outside_in_range(task).pop() for task in sample("planar", 1200, band))
    assert set(count) == set(STARRED)
    assert all(abs(n - 300) < 4 * np.sqrt(1200 * 0.25 * 0.75) for n in count.values())


def test_in_range_one_joint_is_damaged_in_three_of_ten():
    gains = np.array([task.params["actuator_gain"] for task in sample("scorbot", 2000)])
    damaged = (gains < 0.5).sum(axis=1)
    assert damaged.max() == 1
    assert damaged.mean() == pytest.approx(0.3, abs=4 * np.sqrt(0.21 / 2000))
    assert ((gains[gains < 0.5] >= 0.25) & (gains[gains < 0.5] <= 0.45)).all()


@pytest.mark.parametrize("arm", sorted(ARMS))
def test_lengths_come_from_a_pool_that_fills_its_box(arm):
    pool = length_pool(ARMS[arm].n_joints)
    assert pool.shape == (POOL_SIZE, ARMS[arm].n_joints)
    assert len(np.unique(pool, axis=0)) == POOL_SIZE
    assert pool.min() >= 0.9
    assert pool.max() <= 1.1
    for column in pool.T:  # every tenth of the range has its tenth of the vectors
        counts, _ = np.histogram(column, bins=10, range=(0.9, 1.1))
        assert counts.min() > 40
    known = {tuple(row) for row in pool.tolist()}
    assert {task.params["link_length_scale"] for task in sample(arm, 50, "hard")} <= known


@pytest.mark.parametrize(
    ("params", "band"),
    [
        ({}, "in_range"),
        ({"payload_kg": 1.5}, "in_range"),
        ({"payload_kg": 1.6}, "mild"),
        ({"payload_kg": 2.5}, "hard"),
        ({"payload_kg": 3.5}, "outside"),
        ({"payload_kg": 1.6, "viscous_nms": [0.5, 1.2]}, "outside"),  # two starred ones beyond
        ({"viscous_nms": [0.0, 1.2]}, "mild"),
        ({"coulomb_nm": [1.0, 0.0]}, "hard"),
        ({"actuator_gain": [0.3, 1.0]}, "in_range"),
        ({"actuator_gain": [0.22, 1.0]}, "mild"),
        ({"actuator_gain": [1.0, 0.15]}, "hard"),
        ({"actuator_gain": [0.3, 0.3]}, "outside"),  # two damaged joints
        ({"actuator_gain": [0.47, 1.0]}, "outside"),  # neither damaged nor sound
        ({"actuator_gain": [0.1, 1.0]}, "outside"),
        ({"link_mass_scale": [0.7, 1.0]}, "outside"),
        ({"link_length_scale": [1.0, 1.05]}, "in_range"),
    ],
)
def test_band_of_hand_made_tasks(params, band):
    assert Task("planar", params).band == band


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"payload": 1.0}, "unknown parameter 'payload'; choose from .*payload_kg"),
        ({"payload_kg": -1.0}, "payload_kg must be finite and at least 0.0, not -1.0"),
        ({"payload_kg": float("nan")}, "finite"),
        ({"payload_kg": [1.0, 2.0]}, "takes one number"),
        ({"payload_kg": "heavy"}, "must be numbers, not 'heavy'"),
        ({"viscous_nms": 1.0}, "takes 2 numbers, one a joint"),
        ({"viscous_nms": [1.0, 2.0, 3.0]}, "takes 2 numbers"),
        ({"actuator_gain": [0.0, 1.0]}, "at least 0.05"),
        ({"action_delay_steps": 3}, r"one of \[0, 1, 2\], not 3"),
        ({"action_delay_steps": 0.5}, r"one of \[0, 1, 2\], not 0.5"),
    ],
)
def test_what_no_body_can_have_is_named(params, message):
    with pytest.raises(ValueError, match=message):
        Task("planar", params)


def test_unknown_arms_bands_and_splits_are_named():
    with pytest.raises(ValueError, match=r"unknown arm 'puma'; choose from \['planar', 'scorbot'\]"):
        Task("puma", {})
    with pytest.raises(ValueError, match="unknown band 'easy'"):
        sample("planar", 1, "easy")
    with pytest.raises(ValueError, match="unknown split 'validation'"):
        sample("planar", 1, split="validation")
    with pytest.raises(ValueError, match="unknown band 'easy'"):
        draw(ARMS["planar"], "easy", np.zeros((1, n_uniforms(ARMS["planar"]))))


def test_a_test_task_is_refused_by_training():
    task = sample("planar", 1, split="test")[0]
    with pytest.raises(ValueError, match="belongs to split 'test', not 'train'"):
        task.require_split("train")


def test_params_cannot_be_changed():
    task = Task.nominal("planar")
    with pytest.raises(TypeError):
        task.params["payload_kg"] = 1.0
    with pytest.raises(AttributeError):
        task.arm = "scorbot"


def test_more_tasks_begin_with_the_fewer():
    assert sample("scorbot", 40, "mild")[:7] == sample("scorbot", 7, "mild")


def test_arms_that_draw_together_get_what_they_would_draw_alone():
    cfg = ARMS["planar"]
    alone = [draw_tasks(cfg, "mild", "test", [seeded(i).tasks])[0] for i in range(12)]
    assert draw_tasks(cfg, "mild", "test", [seeded(i).tasks for i in range(12)]) == alone
    assert isinstance(seeded(0), Seeds)
