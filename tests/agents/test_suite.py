"""The suite: one table, the same to the byte however it came about."""

import csv
import gzip
import hashlib
import io
import json
from dataclasses import replace

import numpy as np
import pytest

from agents import source, suite
from agents.cells import Cell, Order, SuiteCfg
from agents.learners import LEARNERS
from agents.plans import PLANS, Part, find_plan, orders
from agents.shipped import shipped_path
from agents.source import fingerprint, source_sha256
from agents.spread import Places
from agents.suite import Done, Store, Task, do, n_episodes, pending, run_suite, summary
from agents.suite_cell import COLUMNS
from tests.helpers import PLANAR

REACH = "envs:PhaseArm/PlanarReach-v0"
CFG = SuiteCfg(PLANAR, lessons=1, seed=1002)
SMALL = Part(
    **{"memories": ("float", "hermes_2"), "bands": ("in_range",), "chips": 1, "tasks": 2},
    **{"learners": ("nominal", "delta"), "meta_seeds": (0,)},
)


ONE = Places()


def made(folder, wanted, places=ONE):
    """Run orders into a folder; return the table's bytes."""
    store = Store(folder, wanted[0].cfg)
    list(run_suite(pending(wanted, store), store, places))
    return (folder / "table.csv.gz").read_bytes()


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Three cells run in one process: (orders, folder, table)."""
    wanted, folder = orders(SMALL, CFG), tmp_path_factory.mktemp("suite") / "run"
    return wanted, folder, made(folder, wanted)


def test_the_table_is_tidy(whole):
    *_, table = whole
    lines = [line.split(",") for line in gzip.decompress(table).decode().splitlines()]
    assert tuple(lines[0]) == COLUMNS
    assert [tuple(line[:3]) for line in lines[1::4]] == [
        ("delta", "float", "in_range"),
        ("delta", "hermes_2", "in_range"),
        ("nominal", "float", "in_range"),
    ]
    assert len(lines) == 1 + 3 * 1 * 2 * 2  # cells, chips, bodies, episodes
    assert lines[1:] == sorted(lines[1:])
    devices = [float(line[9]) for line in lines[1:]]
    assert [d > 0 for d in devices] == [line[1] == "hermes_2" and line[6] == "1" for line in lines[1:]]


def test_the_budgets_of_the_learners_in_the_table_are_beside_it(whole, tmp_path):
    wanted, folder, _ = whole
    budgets = (folder / "budgets.csv").read_bytes()
    (line,) = csv.DictReader(io.StringIO(budgets.decode()))  # the nominal controller is not trained
    assert (line["learner"], line["meta_seed"], line["checkpoint"]) == ("delta", "0", shipped_path(PLANAR).name)
    assert line["sha256"] == hashlib.sha256(shipped_path(PLANAR).read_bytes()).hexdigest()
    assert int(line["env_steps"]) == 11_520_000
    store = Store(tmp_path, CFG)
    for order in wanted:
        store.keep(Task(order, order.key(), source_sha256()), Done(b"", 1.0))
    store.write_table()
    assert (tmp_path / "budgets.csv").read_bytes() == budgets


def test_in_whatever_order_and_with_however_many_workers_the_table_is_the_same(whole, tmp_path):
    wanted, _, table = whole
    assert made(tmp_path / "run", wanted[::-1], Places(workers=2)) == table


@pytest.mark.slow
def test_spread_by_ray_the_table_is_the_same(whole, tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_worker_niceness", "0")
    pytest.importorskip("ray", reason="the extra [ray] is not installed")
    wanted, _, table = whole
    assert made(tmp_path / "run", wanted, Places(workers=2, ray=True)) == table


def test_what_is_kept_is_not_run_again_and_what_is_lost_is(whole, tmp_path, monkeypatch):
    wanted, _, table = whole
    store = Store(tmp_path, CFG)
    runner = run_suite(pending(wanted, store), store, Places())
    next(runner)  # one cell is finished, then the run is killed
    runner.close()
    assert not (tmp_path / "table.csv.gz").exists()
    work = pending(wanted, Store(tmp_path, CFG))
    assert (work.n_kept, len(work.orders)) == (1, 2)
    assert made(tmp_path, wanted) == table
    monkeypatch.setattr(suite, "run_cell", lambda order: pytest.fail("it was kept"))
    assert made(tmp_path, wanted) == table
    store.path(wanted[2].cell).unlink()
    assert pending(wanted, store).orders == [wanted[2]]


def test_a_cell_of_another_checkpoint_is_run_again_and_is_not_in_the_table(whole, tmp_path):
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    own = folder / "delta-planartrack-v0.safetensors"
    own.write_bytes(shipped_path(PLANAR).read_bytes())
    cfg = replace(CFG, checkpoints=folder)
    wanted = orders(replace(SMALL, memories=("float",)), cfg)
    made(tmp_path / "run", wanted)
    store = Store(tmp_path / "run", cfg)
    own.write_bytes(shipped_path(PLANAR).with_name("delta-planartrack-v0-random.safetensors").read_bytes())
    assert [order.cell.learner for order in pending(wanted, store).orders] == ["delta"]
    assert [kept.order.cell.learner for kept in store.kept()] == ["nominal"]


def test_another_suite_does_not_go_into_the_folder(whole):
    _, folder, _ = whole
    with pytest.raises(ValueError, match=r"'seed': 1002.*'seed': 3"):
        Store(folder, replace(CFG, seed=3))


def test_a_worker_with_another_checkpoint_is_refused(whole):
    with pytest.raises(ValueError, match="another checkpoint"):
        do(Task(whole[0][0], "0" * 64, source_sha256()))


def test_a_worker_with_other_code_is_refused(whole):
    order = whole[0][0]
    with pytest.raises(ValueError, match="runs other code"):
        do(Task(order, order.key(), "0" * 64))


def test_a_cell_of_other_code_is_run_again_unless_it_is_kept(whole, tmp_path, monkeypatch):
    wanted, _, table = whole
    made(tmp_path, wanted)
    monkeypatch.setattr(suite, "source_sha256", lambda: "0" * 64)
    work = pending(wanted[:2], Store(tmp_path, CFG))
    assert (work.orders, work.n_kept, work.n_again, work.n_other) == (wanted[:2], 0, 2, 3)
    kept = Store(tmp_path, CFG, keep_cells=True)
    work = pending(wanted, kept)
    assert (work.orders, work.n_kept, work.n_again, work.n_other) == ([], 3, 0, 3)
    assert kept.write_table().read_bytes() == table
    list(run_suite(pending(wanted[:1], Store(tmp_path, CFG)), Store(tmp_path, CFG), ONE))
    own = gzip.decompress((tmp_path / "table.csv.gz").read_bytes()).decode().splitlines()[1:]
    assert {line.split(",")[0] for line in own} == {"nominal"}  # what other code made is not in the table
    assert kept.write_table().read_bytes() == table  # nothing of it was lost


def test_a_cell_that_does_not_say_which_code_made_it_is_of_other_code(whole, tmp_path):
    wanted, folder, _ = whole
    own, old = Store(folder, CFG).path(wanted[0].cell), Store(tmp_path, CFG).path(wanted[0].cell)
    head, rows = gzip.decompress(own.read_bytes()).split(b"\n", 1)
    said = {name: value for name, value in json.loads(head).items() if name != "code"}
    old.parent.mkdir()
    old.write_bytes(gzip.compress(json.dumps(said).encode() + b"\n" + rows))
    assert pending(wanted[:1], Store(tmp_path, CFG)).n_again == 1


def test_the_fingerprint_is_of_names_and_bytes_of_the_source_alone(tmp_path):
    found = set()
    for change in (None, ("a.py", "x = 2"), ("b.py", "x = 1"), ("kernels/c.cpp", "int x;"), ("notes.txt", "x")):
        room = tmp_path / str(change) / "room"
        (room / "kernels").mkdir(parents=True)
        (room / "a.py").write_text("x = 1")
        if change:
            (room / change[0]).write_text(change[1])
        found.add(fingerprint([room], {}))
    assert len(found) == 4  # the notes change nothing, nor does where the room lies
    assert len(source_sha256()) == 64


@pytest.mark.parametrize("library", ["torch", "numpy", "mujoco"])
def test_the_fingerprint_is_of_the_libraries_that_the_numbers_come_from_too(library, monkeypatch):
    installed = source.version
    monkeypatch.setattr(source, "version", lambda name: "99" if name == library else installed(name))
    assert source.source_sha256.__wrapped__() != source_sha256()


def test_time_is_foretold_from_cells_of_the_same_learner(whole, tmp_path):
    wanted, store = whole[0], Store(tmp_path, CFG)
    usual = pending(wanted, store)
    assert usual.seconds == pytest.approx(suite.SECONDS["planar"] * 3 * 2 * 2)
    store.keep(Task(wanted[0], wanted[0].key(), source_sha256()), Done(b"", 8.0))  # nominal: 4 episodes in 8 s
    more = replace(wanted[0], cell=replace(wanted[0].cell, band="hard"))
    assert (n_episodes(wanted[0]), n_episodes(more)) == (4, 4)
    assert pending([wanted[0], more], store).seconds == pytest.approx(8.0)


def test_a_life_with_a_change_is_three_times_as_long():
    cell = Cell("delta", "hermes_2", "A-B-A")
    assert n_episodes(Order(replace(CFG, chips=4, tasks=10), cell)) == 4 * 10 * 2 * 3


def test_the_summary_is_the_mean_over_chips_and_bodies(whole):
    _, folder, table = whole
    rows = [line.split(",") for line in gzip.decompress(table).decode().splitlines()[1:]]
    errors = np.array([float(row[7]) for row in rows if row[0] == "nominal"]).reshape(2, 2)
    found = summary(Store(folder, CFG))["nominal", "float", "in_range"]
    assert found["trials"] == 2
    np.testing.assert_allclose(found["error"], errors.mean(0))


@pytest.mark.parametrize("name", sorted(PLANS))
def test_every_published_part_can_be_ordered(name):
    for order in orders(find_plan(name, PLANAR), CFG):
        assert not order.cell.block
        assert order.cfg.tasks == PLANS[name].tasks
        assert LEARNERS[order.cell.learner].chips or order.cell.memory == "float"


@pytest.mark.parametrize("name", sorted(PLANS))
def test_every_published_part_can_be_ordered_on_reach(name):
    cfg = replace(CFG, env=REACH)
    found = {order.cell.learner for order in orders(find_plan(name, REACH), cfg)}
    assert found >= ({"reward", "ppo", "rl2"} if name in ("bits", "noise", "ages") else {"reward", "nominal", "oracle"})


def test_the_wiring_is_varied_where_motors_can_be_miswired():
    track, reach = (set(find_plan("sensitivity", env).bands) for env in (PLANAR, REACH))
    assert reach - track == {"motor_reversed=0", "motor_reversed=1", "motor_swap=-1", "motor_swap=0"}
    assert track < reach


def test_main_part_has_every_learner_of_the_world():
    cells = [order.cell for order in orders(find_plan("main", PLANAR), CFG)]
    assert {cell.learner for cell in cells} >= {"nominal", "integral", "oracle", "delta", "delta-random"}
    assert {cell.band for cell in cells} == {"in_range", "mild", "hard"}
    many = orders(replace(find_plan("main", PLANAR), chips=20, learners=("delta",), meta_seeds=(0,)), CFG)
    assert [o.cell.block for o in many if o.cell.memory == "hermes_2" and o.cell.band == "mild"] == [0, 1, 2]


@pytest.mark.parametrize(
    ("part", "named"),
    [
        (replace(SMALL, learners=("oracle",), memories=("hermes_2",)), "none of"),
        (replace(SMALL, meta_seeds=(77,)), "meta-seed 77"),
        (replace(SMALL, memories=("paper",)), "hermes_2"),
    ],
)
def test_a_part_that_cannot_be_run_is_refused(part, named):
    with pytest.raises(ValueError, match=named):
        orders(part, CFG)


def test_a_plan_of_no_name_is_refused():
    with pytest.raises(ValueError, match=r"choose from .*'main'"):
        find_plan("grand", PLANAR)


def test_a_cell_on_disk_says_what_it_is(whole):
    wanted, folder, _ = whole
    store = Store(folder, CFG)
    text = gzip.decompress(store.path(wanted[0].cell).read_bytes()).split(b"\n", 1)[0]
    head = json.loads(text)
    assert head["cell"] == {"learner": "nominal", "memory": "float", "band": "in_range", "meta_seed": 0, "block": 0}
    assert (head["chips"], head["tasks"]) == (1, 2)
