"""Output lines solved node by node, as an oracle for what their wires lose."""

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import splu


def line_current_us(g_us, volts, on, wire_ohm):
    """Return what reaches the converter from a line whose cells hang on n pieces of wire, in uS x V.

    Args:
        g_us: Devices on each node of the line, node 0 next to the converter. Shape (n, devices).
        volts: What drives each device. Shape (n, devices).
        on: Whether a device is connected. Shape (n, devices).
        wire_ohm: Resistance of a piece.
    """
    wire, g = 1e6 / wire_ohm, g_us * on
    n = len(g)
    inside = 2.0 * np.ones(n)
    inside[-1] = 1.0  # nothing beyond the last node
    between = -wire * np.ones(n)
    bands = np.stack([g.sum(1) + wire * inside, between, between])
    matrix = sparse.csc_array(sparse.spdiags(bands, np.array([0, 1, -1]), n, n))
    return wire * splu(matrix).solve((g * volts).sum(1))[0]


def pulsed_product(g_pos, g_neg, x, wire_ohm, phases, slots=8):
    """Return the product of one line in uS, inputs being lengths of pulses, solved anew in each slot of time.

    In one phase both devices of a cell are driven with opposite signs; in four, one sign of input and one polarity
    at a time.
    """
    total = 0.0
    for slot in range(slots):
        driven = np.abs(x) > (slot + 0.5) / slots
        if phases == 1:
            volts = np.stack([np.sign(x), -np.sign(x)], 1)
            total += line_current_us(np.stack([g_pos, g_neg], 1), volts, np.stack([driven, driven], 1), wire_ohm)
            continue
        for sign in (1, -1):
            for polarity, g in ((1, g_pos), (-1, g_neg)):
                on = driven & (np.sign(x) == sign)
                current = line_current_us(g[:, None], np.ones((len(x), 1)), on[:, None], wire_ohm)
                total += sign * polarity * current
    return total / slots
