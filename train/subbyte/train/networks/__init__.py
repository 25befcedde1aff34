"""Small networks for two CPU cores, by the names that recipes use. Each takes (scheme, image shape, classes, scale)."""

from __future__ import annotations

from collections.abc import Callable

from subbyte.train.networks.base import QuantNetwork
from subbyte.train.networks.cnn import cnn
from subbyte.train.networks.ds_cnn import ds_cnn
from subbyte.train.networks.mobilenet import mobilenet
from subbyte.train.networks.resnet import resnet
from subbyte.train.networks.xnor import xnor

NETWORKS: dict[str, Callable[..., QuantNetwork]] = {
    "cnn": cnn, "resnet": resnet, "ds_cnn": ds_cnn, "mobilenet": mobilenet, "xnor": xnor,
}

__all__ = ["NETWORKS", "QuantNetwork", "cnn", "ds_cnn", "mobilenet", "resnet", "xnor"]
