"""Gain and offset of converters: drawn, distorting, measured, taken out."""

import pytest
import torch

from pcm_backend import columns

SHAPE = (40, 2, 1, 2500)  # chips, two numbers, slices, lines: 100,000 converters


def _drawn(seeded, gain=0.0709, offset=0.01):
    return columns.drawn(gain, offset, torch.randn(SHAPE, generator=seeded(1)))


def test_spreads_are_those_asked_for_and_end_at_three_deviations(seeded):
    converters = _drawn(seeded)
    # cut at 3 deviations a normal number keeps .9963 of its standard deviation
    assert float(converters.gain.std()) == pytest.approx(0.0709, rel=0.015)
    assert float(converters.offset.std()) == pytest.approx(0.01, rel=0.015)
    assert float((converters.gain - 1).abs().max()) == pytest.approx(3 * 0.0709, rel=1e-5)


@pytest.mark.parametrize(("noise", "n_reads"), [(0.004, 64), (0.02, 16)])
def test_what_remains_after_a_measurement_is_its_own_noise(noise, n_reads, seeded):
    converters = _drawn(seeded)
    seen = columns.measured(converters, noise, n_reads, torch.randn(SHAPE, generator=seeded(2)))
    gain_error, offset_error = seen.seen_gain - seen.gain, seen.seen_offset - seen.offset
    assert float(gain_error.std()) == pytest.approx(noise * (2 / n_reads) ** 0.5, rel=0.02)
    assert float(offset_error.std()) == pytest.approx(noise / (2 * n_reads) ** 0.5, rel=0.02)
    assert torch.equal(seen.gain, converters.gain)


def test_a_noiseless_measurement_takes_everything_out(seeded):
    converters = _drawn(seeded)
    y, full_scale = torch.randn(40, 3, 1, 2500, generator=seeded(3)), torch.full((1, 2500), 5.0)
    seen = columns.measured(converters, 0.0, 1, torch.randn(SHAPE, generator=seeded(2)))
    raw = columns.distorted(y, seen, full_scale)
    assert float((raw - y).abs().max()) > 0.1
    torch.testing.assert_close(columns.corrected(raw, seen, full_scale), y, rtol=1e-5, atol=1e-5)


def test_an_unmeasured_converter_by_hand():
    one = torch.ones(1, 1, 1)
    converters = columns.Columns(1.1 * one, 0.02 * one, one, 0.0 * one)
    raw = columns.distorted(torch.full((1, 1, 1, 1), 2.0), converters, torch.tensor(5.0))
    assert float(raw) == pytest.approx(2.0 * 1.1 + 0.02 * 5.0)
    assert torch.equal(columns.corrected(raw, converters, torch.tensor(5.0)), raw)
