"""A table of results with a known truth, in the form of the suite's."""

import csv
import gzip
import io
import zlib

import numpy as np

from agents.results import COLUMNS

# Error after 0, 1, ... lessons on an average body: what the means of the table come back to.
TRUTH = {
    "nominal": [0.5] * 6,
    "integral": [0.4] * 6,
    "oracle": [0.01] * 6,
    "delta": [0.5, 0.15, 0.06, 0.04, 0.035, 0.03],
    "delta-random": [0.5, 0.42, 0.37, 0.33, 0.3, 0.28],
    "delta-plain": [0.5, 0.2, 0.12, 0.1, 0.09, 0.08],
    "ridge": [0.5, 0.12, 0.05, 0.035, 0.028, 0.024],
    "slotine_li": [0.3, 0.12, 0.08, 0.06, 0.05, 0.045],
    "rls": [0.25, 0.06, 0.05, 0.04, 0.035, 0.032],
    "cavia": [0.5, 0.25, 0.2, 0.19, 0.185, 0.18],
    "maml": [0.5, 0.1, 0.05, 0.035, 0.03, 0.026],
}
WITHOUT_CHIP = ("nominal", "integral", "oracle", "ridge", "rls", "slotine_li")
DEVICES = {"delta": 1200, "delta-random": 1200, "delta-plain": 1200, "maml": 30000}
SWEPT = ("nominal", "oracle", "delta")
WORSE = {"in_range": 1.0, "mild": 1.3, "hard": 1.8}


def rows(learner, memory, band, curve, n_seeds=1, n_chips=2, n_tasks=6, spread=0.1):
    """Return the rows of one block: a factor of each task (mean 1) times the curve, and noise of seeds and chips.

    Tasks are those of the band and the same for every learner.
    """
    numbers = np.random.default_rng(zlib.crc32(f"{band.split('=')[0]}".encode()))
    task = numbers.lognormal(0.0, 0.4, n_tasks)
    task /= task.mean()
    own = np.random.default_rng(zlib.crc32(f"{learner} {memory} {band}".encode()))
    seed, chip = (own.normal(1.0, spread, n) for n in (n_seeds, n_chips))
    found = []
    for s, c, t, k in np.ndindex(n_seeds, n_chips, n_tasks, len(curve)):
        error = curve[k] * task[t] * (seed[s] if n_seeds > 1 else 1) * (chip[c] if n_chips > 1 else 1)
        written = 0 if k == 0 or memory == "float" else DEVICES.get(learner, 0)
        found.append([learner, memory, band, s, c, t, k, f"{error:.6g}", f"{-error:.6g}", written, written * 7e-8])
    return found


def whole(n_seeds=2, n_chips=2, n_tasks=6):
    """Return the rows of a table with every part that a figure needs."""
    found = []
    for learner, curve in TRUTH.items():
        alone = learner in WITHOUT_CHIP
        for band, worse in WORSE.items():
            grown = [value * worse for value in curve]
            found += rows(learner, "float", band, grown, 1 if alone else n_seeds, 1, n_tasks)
            if not alone:
                chip = [value * (1.1 if learner.startswith("delta") else 1.3) for value in grown]
                found += rows(learner, "hermes_2", band, chip, n_seeds, n_chips, n_tasks)
        there_and_back = [*curve, *curve, *(curve[-1] + (value - curve[-1]) / 3 for value in curve)]
        memory = "float" if alone else "hermes_2"
        found += rows(learner, memory, "A-B-A", there_and_back, 1 if alone else n_seeds, 1 if alone else 2, n_tasks)
        for payload in (0.0, 1.5, 3.0) if learner in SWEPT else ():
            heavier = [value * (0.6 + 0.4 * payload) for value in curve]
            found += rows(learner, memory, f"payload_kg={payload}", heavier, 1, 1 if alone else 2, n_tasks)
    for learner, cost in {"delta": 0.06, "delta-plain": 0.3}.items():
        for noise in (0, 0.5, 2, 4):
            noisy = [value * (1 + cost * noise) for value in TRUTH[learner]]
            found += rows(learner, f"hermes_2 noise={noise}", "in_range", noisy, 1, n_chips, n_tasks)
        for bits in (3, 4, 6):
            coarse = [value * (1 + 20 * cost / 2**bits) for value in TRUTH[learner]]
            found += rows(learner, f"hermes_2 bits={bits}", "in_range", coarse, 1, n_chips, n_tasks)
        for age in (3600, 86400, 2592000, 31536000):
            old = [value * (1 + 0.1 * np.log10(age)) for value in TRUTH[learner][-1:]]
            found += rows(learner, f"hermes_2 age={age}", "in_range", old, n_seeds, n_chips, n_tasks)
    return found


def write_table(path, table):
    """Write rows as the suite does."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([COLUMNS, *table])
    path.write_bytes(gzip.compress(text.getvalue().encode(), mtime=0))
    return path
