"""Quantizers by the names that recipes use. One a file: its paper's definition, gradient and source."""

from __future__ import annotations

from subbyte.train.quantizers.base import (
    LANES,
    ActivationQuantizer,
    FloatActivation,
    FloatWeights,
    UniformActivation,
    WeightQuantizer,
)
from subbyte.train.quantizers.binary import BnnWeights, SignActivation, XnorWeights
from subbyte.train.quantizers.dorefa import DorefaActivation, DorefaWeights
from subbyte.train.quantizers.duq import DuqActivation, DuqWeights
from subbyte.train.quantizers.fitted import FittedActivation
from subbyte.train.quantizers.log_quant import LogQuantActivation, LogQuantWeights
from subbyte.train.quantizers.lsq import LsqActivation, LsqPlusActivation, LsqWeights
from subbyte.train.quantizers.min_max import MinMaxActivation, MinMaxWeights
from subbyte.train.quantizers.outlier import OutlierWeightQuantizer
from subbyte.train.quantizers.pact import PactActivation
from subbyte.train.quantizers.qil import QilActivation, QilWeights
from subbyte.train.quantizers.refined_log import RefinedLogActivation
from subbyte.train.quantizers.ternary import TernaryWeights
from subbyte.train.quantizers.weighted_entropy import WeightedEntropyWeights

ACTIVATIONS: dict[str, type[ActivationQuantizer]] = {
    "float": FloatActivation, "min_max": MinMaxActivation, "pact": PactActivation, "lsq": LsqActivation,
    "lsq_plus": LsqPlusActivation, "qil": QilActivation, "dorefa": DorefaActivation, "duq": DuqActivation,
    "log": LogQuantActivation, "refined_log": RefinedLogActivation, "fitted": FittedActivation, "sign": SignActivation,
}

WEIGHTS: dict[str, type[WeightQuantizer]] = {
    "float": FloatWeights, "min_max": MinMaxWeights, "lsq": LsqWeights, "qil": QilWeights, "dorefa": DorefaWeights,
    "duq": DuqWeights, "log": LogQuantWeights, "weq": WeightedEntropyWeights, "ternary": TernaryWeights,
    "bnn": BnnWeights, "xnor": XnorWeights, "outliers": OutlierWeightQuantizer,
}

__all__ = [
    "ACTIVATIONS", "LANES", "ActivationQuantizer", "BnnWeights", "DorefaActivation", "DorefaWeights", "DuqActivation",
    "DuqWeights", "FittedActivation", "FloatActivation", "FloatWeights", "LogQuantActivation", "LogQuantWeights",
    "LsqActivation", "LsqPlusActivation", "LsqWeights", "MinMaxActivation", "MinMaxWeights",
    "OutlierWeightQuantizer", "PactActivation", "QilActivation", "QilWeights", "RefinedLogActivation",
    "SignActivation", "TernaryWeights", "UniformActivation", "WEIGHTS", "WeightQuantizer", "WeightedEntropyWeights",
    "XnorWeights",
]
