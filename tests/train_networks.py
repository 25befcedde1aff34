"""Small networks with settled quantizers and BatchNorm, for tests; nothing is trained. Needs torch."""

from __future__ import annotations

import torch
from torch import Tensor

from subbyte.train.networks import NETWORKS, QuantNetwork
from subbyte.train.scheme import FLOAT, Scheme, method

__all__ = ["CLASSES", "FLOAT", "NETWORKS", "SCHEMES", "SHAPE", "images", "settled"]

SHAPE = (1, 12, 12)
CLASSES = 4

SCHEMES = {
    "lsq": Scheme(),
    "digit": Scheme(weight_options={"grid": "digit"}),
    "pact2": method("pact", 2),
    "qil3": method("qil", 3),
    "duq": Scheme("duq", "duq", edge_bits=4),
    "min_max": method("min_max", 4),
    "log": Scheme("lsq", "log"),
    "log2": Scheme("log", "log", activation_bits=3, activation_options={"steps": 1}),
    "log4h": Scheme("log", weight_options={"steps": 2}),
    "refined": Scheme("weq", "refined_log", 2, activation_options={"largest": 31}),
    "outliers": Scheme("outliers", "fitted", weight_options={"engine": "ecp5-85"}),
    "ternary": Scheme("ternary", "lsq_plus", activation_bits=4),
    "coarse": Scheme(highway=False, weight_bits=3, activation_bits=3),
    "xnor": Scheme("xnor", "sign", 1, 1),
    "bnn": Scheme("bnn", "sign", 1, 1),
}


def images(count: int = 24, seed: int = 0) -> Tensor:
    """Blobs as bytes, uint8 (n, *SHAPE), each image another one."""
    torch.manual_seed(seed)
    small = torch.rand(count, 1, 3, 3) ** 2
    return (torch.nn.functional.interpolate(small, SHAPE[1:], mode="bilinear") * 255).to(torch.uint8)


def settled(name: str, scheme: str, seed: int = 0, width: int = 8) -> QuantNetwork:
    """A network in evaluation whose statistics are those of `images`."""
    torch.manual_seed(seed)
    model = NETWORKS[name](SCHEMES[scheme], SHAPE, CLASSES, 1 / 255, width)
    model.train()
    with torch.no_grad():
        for _ in range(12):
            model(images(seed=seed))
    return model.eval()
