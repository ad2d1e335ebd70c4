"""Labels of bodies: bands, one parameter at one value, and a body that changes."""

import pytest

from agents.bands import legs
from agents.episodes import make_arms
from tests.helpers import PLANAR, SCORBOT


@pytest.fixture(scope="module")
def arms():
    world = make_arms(PLANAR, 1)
    yield world
    world.close()


@pytest.mark.parametrize("band", ["in_range", "mild", "hard"])
def test_a_band_is_its_published_bodies(arms, band):
    (leg,) = legs(arms, band, 4, 0, 6)
    assert leg.tasks == arms.unwrapped.sample_tasks(4, band=band, split="test", seed=0)
    assert leg.episodes == 6


def test_one_parameter_is_set_and_the_bodies_stay_those_of_the_band_and_of_the_test_split(arms):
    (plain,), (heavy,) = legs(arms, "in_range", 6, 0, 2), legs(arms, "payload_kg=2.5", 6, 0, 2)
    for before, after in zip(plain.tasks, heavy.tasks, strict=True):
        assert (after.params["payload_kg"], after.split, after.band) == (2.5, "test", "hard")
        kept = {"payload_kg", "gravity_heading_rad"}
        assert {k: v for k, v in after.params.items() if k not in kept} == {
            k: v for k, v in before.params.items() if k not in kept
        }
        assert after.params["gravity_heading_rad"] == pytest.approx(before.params["gravity_heading_rad"], abs=1e-3)


def test_friction_is_that_of_a_joint_of_scale_one_and_delay_stays_whole():
    world = make_arms(SCORBOT, 1)
    (rough,), (late,) = legs(world, "viscous_nms=0.5", 2, 0, 2), legs(world, "action_delay_steps=2", 2, 0, 2)
    world.close()
    assert rough.tasks[0].params["viscous_nms"] == pytest.approx((0.7, 1.2, 0.45, 0.125, 0.125))
    assert [body.params["action_delay_steps"] for body in late.tasks] == [2, 2]


@pytest.mark.parametrize(
    ("label", "wiring"),
    [("motor_reversed=0", (0, 0)), ("motor_reversed=1", (1, 1)), ("motor_swap=-1", -1), ("motor_swap=0", 0)],
)
def test_wiring_is_set_where_it_can_be_wrong(label, wiring):
    world = make_arms("envs:PhaseArm/PlanarReach-v0", 1)
    (leg,) = legs(world, label, 3, 0, 2)
    world.close()
    assert [body.params[label.split("=")[0]] for body in leg.tasks] == [wiring] * 3
    assert {body.split for body in leg.tasks} == {"test"}


def test_wiring_is_no_parameter_of_tracking(arms):
    with pytest.raises(ValueError, match="unknown parameter 'motor_swap'"):
        legs(arms, "motor_swap=0", 2, 0, 2)


def test_a_body_that_changes_comes_back(arms):
    first, other, again = legs(arms, "A-B-A", 3, 0, 4)
    assert first.tasks == again.tasks != other.tasks
    assert [leg.episodes for leg in (first, other, again)] == [4, 4, 4]


@pytest.mark.parametrize(
    ("label", "named"),
    [("easy", "in_range"), ("wobble=1", "payload_kg"), ("payload_kg=much", "finite number"), ("payload_kg=", "finite")],
)
def test_a_wrong_label_is_refused(arms, label, named):
    with pytest.raises(ValueError, match=named):
        legs(arms, label, 2, 0, 2)
