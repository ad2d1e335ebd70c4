"""The times of layers over torch's are measured and printed."""

import torch
from torch import nn

from launch import speed_layers


def test_a_table_of_ratios(monkeypatch, capsys):
    small = {
        "conv": lambda: speed_layers.layer(nn.Conv2d(2, 3, 3), torch.rand(2, 2, 5, 5), 2, 1),
        "lstm": lambda: speed_layers.layer(nn.LSTM(3, 4), torch.rand(2, 2, 3), 2, 1),
        "train": lambda: speed_layers.training_step(nn.Linear(3, 4), torch.rand(2, 3), 1),
    }
    monkeypatch.setattr(speed_layers, "rows", lambda turns: small)
    found = speed_layers.run(speed_layers.SpeedLayers(turns=1))
    assert list(found) == list(small)
    assert all(each.ratio > 0 for each in found.values())
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["work", *small]
