"""Convolutions on the chip against torch's."""

import pytest
import torch
from torch import nn

from pcm_backend import CrossbarCfg, CrossbarConv2d, FaultCfg, PeripheryCfg, deploy
from pcm_backend.conv import kernels_to_rows

IDEAL = CrossbarCfg(device="ideal", dac_bits=0, adc_bits=0)
SHAPES = [
    {"kernel_size": 3},
    {"kernel_size": (3, 2), "stride": (2, 3), "padding": (1, 0), "bias": False},
    {"kernel_size": 3, "dilation": (2, 1), "padding": "same"},
    {"kernel_size": 2, "groups": 2, "padding": 1},
    {"kernel_size": 3, "stride": 2, "padding": 1, "padding_mode": "circular"},
]


@pytest.mark.parametrize("options", SHAPES, ids=lambda each: " ".join(map(str, each.items())))
def test_ideal_is_torchs_convolution_and_so_is_its_gradient(options, seeded):
    torch.manual_seed(0)
    conv = nn.Conv2d(4, 6, **options)
    x = torch.randn(2, 3, 4, 9, 8, generator=seeded())
    chip = deploy(conv, IDEAL, n_chips=2, generator=seeded(), calibration=x[0])
    mine, theirs = x.clone().requires_grad_(), x.clone().requires_grad_()
    got, wanted = chip(mine), torch.stack([conv(each) for each in theirs])
    torch.testing.assert_close(got, wanted, rtol=1e-5, atol=1e-5)
    weighting = torch.randn(wanted.shape, generator=seeded())
    got, wanted = (torch.autograd.grad((y * weighting).sum(), at)[0] for y, at in ((got, mine), (wanted, theirs)))
    torch.testing.assert_close(got, wanted, rtol=1e-5, atol=1e-5)


def test_a_picture_costs_a_product_for_each_pixel_of_the_output_and_core_of_rows(seeded):
    conv = nn.Conv2d(56, 56, 3, stride=2, padding=1, bias=False)  # 504 rows: two cores, as on the paper's floor plan
    chip = deploy(conv, n_chips=1, generator=seeded())
    before = chip.ledger.products.clone()
    assert chip(torch.randn(1, 3, 56, 7, 7, generator=seeded())).shape == (1, 3, 56, 4, 4)
    assert float(chip.ledger.products - before) == 3 * 16 * 2


@pytest.mark.parametrize("options", SHAPES, ids=lambda each: " ".join(map(str, each.items())))
def test_reads_of_pictures_are_reads_of_their_patches(options, seeded):
    """Same chips, same streams: the numbers differ by the order of sums, and at times by a step of the converter."""
    conv = nn.Conv2d(64, 6, **options)  # up to 577 rows: two or three cores, whose rows end within a channel
    x = torch.randn(2, 3, 64, 9, 8, generator=seeded())
    faults = FaultCfg(stuck_set=0.01, stuck_reset=0.01, dead_rows=1, dead_columns=1)
    cfgs = [CrossbarCfg(), CrossbarCfg(slices=2, adc_bits=0), CrossbarCfg(dac_bits=0, read_noise="off")]
    for cfg in [*cfgs, CrossbarCfg(faults=faults), CrossbarCfg(periphery=PeripheryCfg.hermes())]:
        whole, cut = (deploy(conv, cfg, n_chips=2, generator=seeded(), calibration=x[0]) for _ in range(2))
        layer = cut.layers["conv2d"]
        assert isinstance(layer, CrossbarConv2d)
        got, wanted = whole(x), layer.crossbar(layer.patches.cut(x))
        apart = (got.movedim(2, -1).reshape(wanted.shape) - wanted).abs()
        assert float((apart > 1e-4).float().mean()) < 0.01
        assert torch.equal(whole.ledger.products, cut.ledger.products)


def test_an_increment_of_kernels_is_written_as_rows(seeded):
    conv = nn.Conv2d(2, 3, 3)
    chip = deploy(conv, CrossbarCfg(device="ideal", w_range=2.0), n_chips=2, generator=seeded())
    layer = chip.layers["conv2d"]
    assert isinstance(layer, CrossbarConv2d)
    delta = torch.randn(3, 2, 3, 3, generator=seeded()) * 0.1
    layer.crossbar.write(kernels_to_rows(delta))
    wanted = (conv.weight + delta).detach().expand(2, -1, -1, -1, -1)
    torch.testing.assert_close(layer.kernels(), wanted, rtol=1e-4, atol=1e-4)


def test_hermes_is_near_and_its_error_that_of_a_linear_layer(seeded):
    torch.manual_seed(0)
    conv = nn.Conv2d(8, 16, 3, padding=1)
    x = torch.randn(4, 4, 8, 6, 6, generator=seeded())
    chip = deploy(conv, n_chips=4, generator=seeded(), calibration=x[0])
    wanted = torch.stack([conv(each) for each in x]).detach()
    assert 0.02 < float((chip(x) - wanted).std() / wanted.std()) < 0.15


def test_wrong_pictures_are_named(seeded):
    chip = deploy(nn.Conv2d(4, 6, 3), n_chips=2, generator=seeded())
    with pytest.raises(ValueError, match=r"\(K, batch, 4, height, width\), got \(3, 4, 9, 8\)"):
        chip(torch.zeros(3, 4, 9, 8))
    with pytest.raises(ValueError, match=r"\(2, 8\).*kernel of \(3, 3\)"):
        chip(torch.zeros(2, 3, 4, 2, 8))
