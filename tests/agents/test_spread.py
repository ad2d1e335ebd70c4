"""Spreading: every unit once, whatever happens to who works on it."""

import os
import signal

import pytest

from agents.spread import Places, spread, start_ray

WAYS = [Places(), Places(workers=2), pytest.param(Places(workers=2, ray=True), marks=pytest.mark.slow)]


def square(x):
    return x * x


def square_unless_killed(unit):
    """Return the square; the first to meet the mark takes it and kills its own process in the middle of its work."""
    mark, x = unit
    try:
        mark.unlink()
    except FileNotFoundError:
        return x * x
    os.kill(os.getpid(), signal.SIGKILL)


def die(unit):
    os.kill(os.getpid(), signal.SIGKILL)


def refuse(unit):
    raise ValueError(f"not {unit}")


@pytest.fixture(scope="module")
def one_ray():
    """Start one Ray for all tests: it takes many seconds."""
    started = []

    def start(places):
        if places.ray and not started:
            os.environ.setdefault("RAY_worker_niceness", "0")  # its own 15 is long beside other tests
            started.append(pytest.importorskip("ray", reason="the extra [ray] is not installed"))
            start_ray(started[0], places)

    yield start
    for ray in started:
        ray.shutdown()


@pytest.mark.parametrize("places", WAYS, ids=lambda places: places.described)
def test_every_unit_comes_back_once(places, one_ray):
    one_ray(places)
    found = list(spread(square, [3, 1, 2, 5, 4], places))
    assert sorted(found) == [(0, 9), (1, 1), (2, 4), (3, 25), (4, 16)]


@pytest.mark.parametrize("places", WAYS[1:], ids=lambda places: places.described)
def test_what_a_killed_worker_did_is_done_again_and_nothing_is_counted_twice(places, one_ray, tmp_path):
    one_ray(places)
    mark = tmp_path / "kill"
    mark.touch()
    found = list(spread(square_unless_killed, [(mark, x) for x in range(6)], places))
    assert sorted(found) == [(x, x * x) for x in range(6)]
    assert not mark.exists()


def test_work_that_kills_every_worker_ends(monkeypatch):
    monkeypatch.setattr("agents.spread.PATIENCE", 1)
    with pytest.raises(RuntimeError, match="died 2 times and finished nothing of 1"):
        list(spread(die, [1], Places(workers=2)))


@pytest.mark.parametrize("places", WAYS[:2], ids=lambda places: places.described)
def test_an_error_of_the_work_is_raised(places):
    with pytest.raises(ValueError, match="not 7"):
        list(spread(refuse, [7], places))


def test_no_workers_are_refused():
    with pytest.raises(ValueError, match="at least 1, got 0"):
        Places(workers=0)
