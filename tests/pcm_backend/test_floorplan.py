"""Where layers lie: no cell twice, every cell of every layer once, the paper's plan on two cores."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from pcm_backend import Crossbar, CrossbarCfg, deploy
from pcm_backend.chip import CORE, count_cores
from pcm_backend.floorplan import array_sizes, floor_plan

PAPER = {"conv1": (9, 56), "conv2": (504, 56), "conv3": (504, 56), "conv4": (504, 56), "readout": (56, 5)}
SIZES = st.dictionaries(
    st.text("abc", min_size=1, max_size=3), st.tuples(st.integers(1, 700), st.integers(1, 600)), min_size=1, max_size=6
)


def test_the_paper_s_network_takes_229_lines_of_two_cores():
    plan = floor_plan(PAPER)
    assert plan.n_cores == 2
    halves = [each for each in plan.placements if each.layer == "conv3"]
    assert [(each.core, each.row_start, each.row_stop) for each in halves] == [(0, 0, 252), (1, 0, 252)]
    # 3 x 56 lines on each core; 56 of the first kernel and 5 of the readout beside them
    assert plan.lines_used(0) == 168 + 56 + 5 == 229
    assert plan.cells == 9 * 56 + 3 * 504 * 56 + 56 * 5 == 85_456


@given(SIZES)
@settings(max_examples=40, deadline=None)
def test_every_cell_of_a_layer_lies_somewhere_and_nothing_lies_on_it(sizes):
    plan = floor_plan(sizes)
    for one, other in itertools.combinations(plan.placements, 2):
        assert not one.overlaps(other)
    for each in plan.placements:
        assert 0 <= each.row_start < each.row_stop <= CORE
        assert 0 <= each.line_start < each.line_stop <= CORE
    for name, (rows, lines) in sizes.items():
        covered = torch.zeros(rows, lines, dtype=torch.int)
        mine = [each for each in plan.placements if each.layer == name]
        for each in mine:
            n_rows, n_lines = each.row_stop - each.row_start, each.line_stop - each.line_start
            covered[each.layer_row : each.layer_row + n_rows, each.layer_line : each.layer_line + n_lines] += 1
        assert bool((covered == 1).all())
        assert len(mine) == len({each.core for each in mine}) == count_cores(rows, lines)


def test_small_layers_share_a_core_and_go_below_each_other_only_where_lines_run_out():
    plan = floor_plan({"a": (100, 200), "b": (100, 50), "c": (100, 150)})
    assert plan.n_cores == 1
    assert {each.layer: each.line_start for each in plan.placements} == {"a": 0, "c": 0, "b": 200}
    assert next(each for each in plan.placements if each.layer == "c").row_start == 100


def test_a_deployed_module_is_planned_with_its_slices_bias_and_repeated_rows():
    generator = torch.Generator().manual_seed(0)
    cfg = CrossbarCfg(slices=2, rows_per_weight=3)
    net = deploy(nn.Sequential(nn.Linear(10, 4), nn.Tanh(), nn.Linear(4, 2)), cfg, n_chips=1, generator=generator)
    assert array_sizes(net.crossbars) == {"0": (33, 8), "2": (15, 4)}
    assert floor_plan(net).cells == 33 * 8 + 15 * 4
    crossbar = Crossbar(torch.ones(4, 300), n_chips=2, generator=generator)
    assert crossbar.array_size == (300, 4)


def test_the_table_names_layers_cores_and_shares():
    text = str(floor_plan(PAPER))
    assert "core 0: 229 of 256 lines" in text
    assert text.endswith("2 cores, 85,456 cells, 65.2% of them")
    assert len(text.splitlines()) == 1 + 8 + 2 + 1


@pytest.mark.parametrize("sizes", [{}, {"a": (0, 3)}, {"a": (3, 0)}])
def test_a_plan_of_nothing_is_refused(sizes):
    with pytest.raises(ValueError, match="every layer needs rows and lines"):
        floor_plan(sizes)
