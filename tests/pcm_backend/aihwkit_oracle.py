"""Samples and formulas of IBM's own device models, and the tables of them that the tests compare with.

Both tables were made by aihwkit 1.2.0 under torch 2.13.0 with

    python -m tests.pcm_backend.aihwkit_oracle

aihwkit_samples.csv: mean, standard deviation and three quantiles of a million samples of each device and target: what
is programmed, the drift exponent, and reads at five ages. aihwkit_formulas.csv: what the models return where the normal
numbers that they draw are 1, -1 or 0, so the formulas without chance, with targets on both sides of every joint.
"""

import csv
import math
import sys
from pathlib import Path
from unittest import mock

import numpy as np
import torch

SAMPLES, FORMULAS = (Path(__file__).with_name(f"aihwkit_{what}.csv") for what in ("samples", "formulas"))
N_SAMPLES = 1_000_000
TARGETS = (0.0, 0.01, 0.02, 0.05, 0.08, *(round(0.05 * k, 2) for k in range(2, 21)))
"""Target over the largest conductance: every twentieth, and more where the fits bend."""
AGES_S = {"0 s": 0.0, "20 s": 20.0, "1 h": 3600.0, "1 d": 86400.0, "1 y": 365 * 86400.0}
QUANTILES = (0.05, 0.5, 0.95)
JOINTS = (0.001, 0.008, 0.0083, 0.0944, 0.0946, 0.159, 0.1592, 0.1599, 0.1601, 0.3038, 0.304, 0.3054, 0.3056)
"""Targets beside which a fit changes its branch or reaches a limit; all between two twentieths."""
COLUMNS = ("device", "target", "what", "mean", "sd", *(f"q{100 * q:02.0f}" for q in QUANTILES))


def models():
    """Return aihwkit's models by the names of ours."""
    from aihwkit import inference  # pyright: ignore[reportMissingImports]: the extra "oracle"

    return {
        "pcm_like": inference.PCMLikeNoiseModel(g_max=25.0),
        "state_independent": inference.StateIndependentNoiseModel(g_max=25.0),
        "hermes_1": inference.HermesNoiseModel(num_devices=1),
        "hermes_2": inference.HermesNoiseModel(num_devices=2),
    }


def sample(model, goal_us):
    """Return samples by what they are of: "programmed" and a read at each age, uS, and "exponent"."""
    programmed = model.apply_programming_noise_to_conductance(goal_us)
    exponent = model.generate_drift_coefficients(goal_us)
    reads = {
        name: model.apply_drift_noise_to_conductance(programmed, exponent, age_s) for name, age_s in AGES_S.items()
    }
    return {"programmed": programmed, "exponent": exponent, **reads}


def formulas(model, goal_us):
    """Return what the model does without chance.

    "programmed" and "exponent" one deviation above their means, "low exponent" one below, and for devices that were
    programmed to the target exactly and have the higher exponent, reads one deviation above their means.
    """
    noise = sys.modules[type(model).__module__]
    with mock.patch.object(noise, "randn_like", lambda like: -torch.ones_like(like)):
        low = model.generate_drift_coefficients(goal_us)
    with mock.patch.object(noise, "randn_like", torch.ones_like):
        high = model.generate_drift_coefficients(goal_us)
        reads = {name: model.apply_drift_noise_to_conductance(goal_us, high, age_s) for name, age_s in AGES_S.items()}
        programmed = model.apply_programming_noise_to_conductance(goal_us)
    return {"programmed": programmed, "exponent": high, "low exponent": low, **reads}


def our_sample(device, goal_us, generator):
    """Return samples of a device of ours, as `sample` does."""
    state = device.program(goal_us, generator)
    reads = {name: device.read(state, age_s, generator) for name, age_s in AGES_S.items()}
    return {"programmed": device.conductance(state, 0.0), "exponent": state.nu, **reads}


def our_formulas(device, goal_us):
    """Return what a device of ours does without chance, as `formulas` does."""
    one = torch.ones_like(goal_us)
    high, low = device.program_with(goal_us, one, one), device.program_with(goal_us, one, -one)
    exact = high._replace(g_us=goal_us)
    reads = {name: device.read_with(exact, age_s, one) for name, age_s in AGES_S.items()}
    return {"programmed": high.g_us, "exponent": high.nu, "low exponent": low.nu, **reads}


def statistics(values):
    """Return mean, standard deviation and quantiles of one tensor of samples."""
    values = values.double().numpy()
    return [values.mean(), values.std(), *np.quantile(values, QUANTILES)]


def disagreements(values, theirs, sd_tolerance, n_theirs=N_SAMPLES):
    """Say where samples of ours and statistics of theirs differ by more than they may.

    Means and the shares of samples below a quantile may differ by 4.5 standard errors; these include those of theirs.

    Args:
        values: Samples of ours.
        theirs: Mean, standard deviation and quantiles of theirs.
        sd_tolerance: Relative difference that standard deviations may have.
        n_theirs: Samples that theirs are from.
    """
    mean, sd, *_ = statistics(values)
    root = 4.5 * math.sqrt(1 / len(values) + 1 / n_theirs)
    found = [] if abs(mean - theirs[0]) < root * theirs[1] else [f"mean {mean:.5g} for {theirs[0]:.5g}"]
    found += [] if abs(sd / theirs[1] - 1) < sd_tolerance else [f"sd {sd:.4g} for {theirs[1]:.4g}"]
    for q, quantile in zip(QUANTILES, theirs[2:], strict=True):
        below, up_to = float((values < quantile).double().mean()), float((values <= quantile).double().mean())
        slack = root * math.sqrt(q * (1 - q))
        found += [] if below - slack < q < up_to + slack else [f"{below:.4f} of ours lie below their quantile {q}"]
    return found


def sample_rows():
    """Yield every row of the table of samples."""
    yield COLUMNS
    for name, model in models().items():
        for target in TARGETS:
            for what, values in sample(model, torch.full((N_SAMPLES,), target * model.g_max)).items():
                yield [name, target, what, *(f"{number:.6g}" for number in statistics(values))]


def formula_rows():
    """Yield every row of the table of formulas."""
    targets = sorted({*TARGETS, *JOINTS})
    for name, model in models().items():
        found = formulas(model, torch.tensor(targets) * model.g_max)
        if name == "pcm_like":
            yield ["device", "target", *found]
        for target, *numbers in zip(targets, *found.values(), strict=True):
            yield [name, target, *(f"{float(number):.7g}" for number in numbers)]


def published_samples():
    """Return the table of samples: {device: {target: {what: [mean, sd, quantiles ...]}}}."""
    table = {}
    for row in csv.DictReader(SAMPLES.read_text().splitlines()):
        numbers = [float(row[name]) for name in COLUMNS[3:]]
        table.setdefault(row["device"], {}).setdefault(float(row["target"]), {})[row["what"]] = numbers
    return table


def published_formulas(device):
    """Return the formulas of one device: {"target" or what: numbers}."""
    found = [row for row in csv.DictReader(FORMULAS.read_text().splitlines()) if row.pop("device") == device]
    return {what: torch.tensor([float(row[what]) for row in found]) for what in found[0]}


if __name__ == "__main__":
    torch.manual_seed(20_000)  # aihwkit draws from torch's global generator
    for path, rows in ((FORMULAS, formula_rows()), (SAMPLES, sample_rows())):
        with path.open("w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(rows)
