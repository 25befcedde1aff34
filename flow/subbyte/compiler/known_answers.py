"""Known-answer vectors: a few inputs, the reference's outputs, and a digest of every code tensor."""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.data import DataError
from subbyte.golden.reference import run
from subbyte.spec.network import Network

COUNT = 4

BROKEN = (EOFError, zipfile.BadZipFile, zlib.error)
"""What NumPy lets through of a damaged .npz."""


@dataclass(frozen=True)
class KnownAnswers:
    """Codes of a few inputs, what the network makes of them, and digests of the tensors in between.

    inputs, outputs : uint8 (n, height, width, channels)
    digests : tensor name -> `digest` of its codes for all inputs, in the order of execution
    """

    inputs: NDArray[np.uint8]
    outputs: NDArray[np.uint8]
    digests: dict[str, str]


def digest(codes: NDArray[np.integer]) -> str:
    """sha256, hexadecimal, of codes (n, height, width, channels) as bytes in C order, two each where one is too few."""
    kind = np.uint8 if codes.max(initial=0) <= np.iinfo(np.uint8).max else np.dtype("<u2")
    return hashlib.sha256(np.ascontiguousarray(codes, dtype=kind).tobytes()).hexdigest()


def save_known_answers(network: Network, codes: NDArray[np.int64], path: Path) -> None:
    """Run the first `COUNT` of the input codes through the reference and write the result to `path` (.npz)."""
    taps = run(network, codes[:COUNT], taps=True)
    np.savez(
        path, allow_pickle=False,
        inputs=codes[:COUNT].astype(np.uint8),
        outputs=taps[network.output].astype(np.uint8),
        tensors=np.array(list(taps)),
        digests=np.array([digest(values) for values in taps.values()]),
    )


def load_known_answers(path: Path, network: Network) -> KnownAnswers:
    """Inverse of `save_known_answers`. DataError for another file, or inputs that are no codes of the network's."""
    try:
        with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as file:
            digests = dict(zip(file["tensors"].tolist(), file["digests"].tolist(), strict=True))
            known = KnownAnswers(file["inputs"], file["outputs"], digests)
    except (*BROKEN, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"Known answers {path} must be those that compile wrote: {error}") from None
    tensor = network.tensors[network.input]
    if known.inputs.shape[1:] != tensor.shape or known.inputs.max(initial=0) >> tensor.format.bits:
        raise DataError(f"Known answers {path} must have {tensor.format.bits}-bit inputs of shape {tensor.shape}")
    return known
