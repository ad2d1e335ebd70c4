"""Random numbers by counters, and the native kernels that draw them."""

import math
import multiprocessing
import os
from pathlib import Path

import pytest
import torch

from pcm_backend import native, philox
from pcm_backend.streams import Streams

CPU = torch.device("cpu")

# Random123, kat_vectors, philox4x32 with 10 rounds: counter, key, block.
KNOWN = [
    ([0, 0, 0, 0], [0, 0], [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
    ([0xFFFFFFFF] * 4, [0xFFFFFFFF] * 2, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
    (
        [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
        [0xA4093822, 0x299F31D0],
        [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
    ),
]


@pytest.fixture
def kernels():
    library = native.library()
    if library is None:
        pytest.skip("no native kernels on this machine")
    return library


@pytest.fixture
def plain(monkeypatch):
    """Switch the kernels off and on again."""

    def switch(off):
        monkeypatch.setattr("pcm_backend.streams.usable", lambda *_: None if off else native.library())

    return switch


@pytest.mark.parametrize(("counter", "key", "block"), KNOWN)
def test_philox_gives_the_published_vectors(counter, key, block):
    words = philox.philox(tuple(torch.tensor(each) for each in counter), tuple(torch.tensor(each) for each in key))
    assert [int(each) for each in words] == block


@pytest.mark.parametrize(("counter", "key", "block"), KNOWN)
def test_the_kernel_gives_the_published_vectors(counter, key, block, kernels):
    out, words = torch.zeros(4, dtype=torch.int64).int(), torch.tensor(counter).to(torch.uint32)
    kernels.philox_block(out.data_ptr(), words.data_ptr(), key[0] | key[1] << 32)
    assert [each & 0xFFFFFFFF for each in out.tolist()] == block


@pytest.mark.parametrize("n", [1, 15, 64, 65, 1000])
def test_kernel_and_plain_torch_draw_the_same(n, kernels, plain):
    drawn = []
    for off in (False, True):
        plain(off)
        draw = Streams.from_seed(3, 11, CPU).draw(n)
        drawn.append(torch.stack([draw(), draw()]))
    torch.testing.assert_close(drawn[0], drawn[1], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("off", [False, True])
def test_single_numbers_are_those_of_the_whole_draw(off, plain, seeded):
    plain(off)
    streams = Streams.from_seed(3, 9, CPU).fork(2)
    row, index = (torch.randint(high, (500,), generator=seeded()) for high in (18, 3 * 70))
    dense = streams.draw(3, 70)
    sparse = dense.at(row, index)
    for _ in range(3):
        torch.testing.assert_close(sparse(), dense().flatten(1)[row, index], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("off", [False, True])
def test_numbers_are_normal_and_independent(off, plain):
    plain(off)
    streams = Streams.from_seed(1, 8, CPU)
    z = torch.stack([streams.normal(25_000) for _ in range(4)], 1).double()  # (row, draw, index)
    n = z.numel()
    # the moments of a normal number, and the deviation of their estimates
    for power, moment, variance in ((1, 0.0, 1.0), (2, 1.0, 2.0), (3, 0.0, 15.0), (4, 3.0, 96.0)):
        assert abs(float((z**power).mean()) - moment) < 4.5 * math.sqrt(variance / n)
    share = (z[..., None].abs() > torch.tensor([0.67449, 1.95996, 3.29053])).double().mean((0, 1, 2))
    wanted = torch.tensor([0.5, 0.05, 0.001], dtype=torch.float64)
    assert ((share - wanted).abs() < 4.5 * (wanted * (1 - wanted) / n).sqrt()).all()
    together = torch.corrcoef(z.flatten(0, 1)) - torch.eye(32)
    assert float(together.abs().max()) < 5 / math.sqrt(25_000)
    for lag in (1, 16, 17, 32, 64):  # other lanes, other words, other groups
        mean = float((z[..., lag:] * z[..., :-lag]).mean())
        assert abs(mean) < 4.5 / math.sqrt(n)


def test_rows_depend_on_seed_block_and_place_alone():
    few, many = (Streams.from_seed(7, k, CPU) for k in (4, 30))
    assert torch.equal(few.keys, many.keys[:4])
    assert len(set(many.keys.tolist())) == 30
    assert not set(many.keys.tolist()) & set(Streams.from_seed(8, 30, CPU).keys.tolist())
    few.draw(5)  # taken, and never used
    many.normal(2)
    assert torch.equal(few.normal(6), many.normal(6)[:4])


def test_forks_differ_and_do_not_depend_on_neighbours():
    few, many = (Streams.from_seed(7, k, CPU) for k in (4, 30))
    first, second = few.fork(3), few.fork(3)
    assert len({*first.keys.tolist(), *second.keys.tolist(), *few.keys.tolist()}) == 28
    assert torch.equal(first.keys, many.fork(3).keys[:12])
    assert torch.equal(first.keys.view(4, 3)[:, :2], Streams.from_seed(7, 4, CPU).fork(2).keys.view(4, 2))
    assert not torch.equal(first.normal(4), second.normal(4))


def test_a_saved_state_goes_on():
    one, other = Streams.from_seed(1, 3, CPU), Streams.from_seed(2, 3, CPU)
    one.normal(3)
    other.load_state_dict(one.state_dict())
    assert torch.equal(one.normal(70), other.normal(70))
    with pytest.raises(ValueError, match=r"3 rows with 1 .* 6 with 2"):
        one.fork(2).load_state_dict(one.state_dict())


def test_without_a_compiler_one_warning_and_plain_torch(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("PHASEARM_NATIVE", raising=False)
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.warns(UserWarning, match="plain torch") as caught:
        assert native.library.__wrapped__() is None
    assert len(caught) == 1
    assert "\n" not in str(caught[0].message)
    monkeypatch.setenv("PHASEARM_NATIVE", "0")
    assert native.library.__wrapped__() is None


def _build(folder, start):
    os.environ["XDG_CACHE_HOME"] = folder
    start.wait()
    sources = Path(native.__file__).parent / "kernels"
    assert native.load("race", [sources / "slots.cpp"]).slot_counts is not None  # the smallest of them


@pytest.mark.usefixtures("kernels")
def test_processes_that_build_at_once_leave_one_whole_library(tmp_path):
    context = multiprocessing.get_context("fork")
    start = context.Event()
    racers = [context.Process(target=_build, args=(str(tmp_path), start)) for _ in range(3)]
    for each in racers:
        each.start()
    start.set()
    for each in racers:
        each.join(60)
    assert [each.exitcode for each in racers] == [0, 0, 0]
    assert [path.suffix for path in (tmp_path / "phasearm").iterdir()] == [".so"]
