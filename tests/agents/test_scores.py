import numpy as np
import pytest

from agents.results import Key, Results
from agents.scores import Ends, devices_per_life, iqm_error, mean_error, score, worst
from tests.synthetic import rows, write_table


@pytest.fixture
def results(tmp_path):
    table = rows("nominal", "float", "in_range", [0.5] * 3, 1, 1, 40)
    table += rows("oracle", "float", "in_range", [0.1] * 3, 1, 1, 40)
    return Results.read(
        write_table(tmp_path / "t.csv.gz", table + rows("delta", "hermes_2", "in_range", [0.5, 0.2, 0.14], 4, 4, 40))
    )


def blocks(results):
    labels = (("delta", "hermes_2"), ("nominal", "float"), ("oracle", "float"))
    return [results.block(Key(*label, "in_range")) for label in labels]


def test_the_truth_of_the_table_lies_in_the_intervals(results):
    delta, nominal, oracle = blocks(results)
    found = mean_error(delta)
    np.testing.assert_allclose(found.value, delta.error.mean(axis=(0, 1, 2)))
    for low, truth, high in zip(found.low, [0.5, 0.2, 0.14], found.high, strict=True):
        assert low < truth < high
    np.testing.assert_allclose(mean_error(nominal).value, 0.5, rtol=1e-4)
    got = score(delta, Ends(nominal, oracle))
    # (0.5 - 0.2) / 0.4 and (0.5 - 0.14) / 0.4 but for the noise of seeds and chips
    np.testing.assert_allclose(got.value, (0.5 - found.value) / 0.4, rtol=1e-4)
    assert got.low[2] < 0.9 < got.high[2]


def test_ends_of_the_scale_are_zero_and_one_without_spread(results):
    _, nominal, oracle = blocks(results)
    zero, one = score(nominal, Ends(nominal, oracle)), score(oracle, Ends(nominal, oracle))
    np.testing.assert_allclose([*zero], 0.0, atol=1e-12)
    np.testing.assert_allclose([*one], 1.0)


def test_worst_tenth_and_devices(results):
    delta, *_ = blocks(results)
    ordered = np.sort(delta.error[..., 1].ravel())
    assert worst(delta)[1] == pytest.approx(ordered[-64:].mean())
    np.testing.assert_array_equal(devices_per_life(delta), [0, 1200, 2400])
    found = iqm_error(delta)
    assert found.low[1] < found.value[1] < found.high[1]
    assert found.value[1] == pytest.approx(ordered[160:480].mean())


def test_another_scale_is_refused(results, tmp_path):
    delta, nominal, oracle = blocks(results)
    table = rows("nominal", "float", "in_range", [0.5] * 2, 1, 1, 40)
    short = Results.read(write_table(tmp_path / "short.csv.gz", table)).block(nominal.key)
    with pytest.raises(ValueError, match=r"delta on hermes_2, in_range is of 40 tasks and episodes \(0, 1, 2\)"):
        score(delta, Ends(short, oracle))


def test_one_episode_has_the_score_it_has_among_all(results):
    delta, nominal, oracle = blocks(results)
    whole, last = score(delta, Ends(nominal, oracle)), score(delta.at(-1), Ends(nominal, oracle))
    assert delta.at(-1).numbers == (2,)
    assert [part[-1] for part in whole] == [part[0] for part in last]


def test_a_scale_of_more_tasks_counts_by_its_first(results):
    delta, nominal, oracle = blocks(results)
    fewer = delta.part(4, 10)
    found = score(fewer, Ends(nominal, oracle))
    zero, one = (end.error[..., :10, 1].mean() for end in (nominal, oracle))
    assert found.value[1] == pytest.approx((zero - fewer.error[..., 1].mean()) / (zero - one))
