"""Activation outliers: few wide values beside dense codes (numerics.md B9), tensors of a format with `records`.

x = dense + outlier on one grid of integers, and exactly one of the two is not 0 where x is not: a value above the
largest dense one is a record, and its dense code is 0. Products with weights w_d + w_o are those of the full weight
with either, so sum (w_d + w_o)(x_d + x_o) has all four terms. The machine has them, engines with `activation_records`;
gateware has not: docs/arithmetic.md tells why.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from subbyte.spec.formats import LARGEST_VALUE, check_int


@dataclass(frozen=True)
class Split:
    """What is stored of activations.

    dense : int64 (n, height, width, channels), 0..dense maximum, 0 at every record
    records : int64 (number, 5), sorted: image, row, column, channel, value above the dense maximum
    saturated : values that found no room and became the dense maximum; a sticky counter
    """

    dense: NDArray[np.int64]
    records: NDArray[np.int64]
    saturated: int

    def outliers(self) -> NDArray[np.int64]:
        """The records in their places, int64 in the shape of `dense`."""
        result = np.zeros_like(self.dense)
        result[tuple(self.records[:, :4].T)] = self.records[:, 4]
        return result

    def values(self) -> NDArray[np.int64]:
        """dense + outliers: what consumers multiply."""
        return self.dense + self.outliers()


def split_activations(values: NDArray[np.int64], dense_bits: int, capacity: int) -> Split:
    """Split of unsigned activations (n, height, width, channels) with at most `capacity` records a pixel.

    The first in the order of channels get the room, as a requantizer writes them; what comes later saturates to
    the dense maximum, 2**dense_bits - 1. ValueError for values outside 0..65535.
    """
    check_int("Bits of dense activations", dense_bits, 1, 8)
    check_int("Records of a pixel", capacity, 0, values.shape[3])
    if values.size and (values.min() < 0 or values.max() > LARGEST_VALUE):
        raise ValueError(f"Activations must be in 0..{LARGEST_VALUE}, not {values.min()}..{values.max()}")
    largest = (1 << dense_bits) - 1
    wide = values > largest
    recorded = wide & (wide.cumsum(axis=3) <= capacity)
    places = np.argwhere(recorded)
    records = np.concatenate([places, values[recorded][:, None]], axis=1)
    dense = np.where(recorded, 0, np.minimum(values, largest))
    return Split(dense, records, int((wide & ~recorded).sum()))
