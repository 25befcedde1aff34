"""Knowledge distillation (Hinton, Vinyals, Dean 2015, arXiv 1503.02531)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def distillation_loss(logits: Tensor, teacher: Tensor, y: Tensor, weight: float, temperature: float) -> Tensor:
    """(1 - weight) * cross entropy with the classes + weight * T**2 * KL(teacher || student) of logits / T."""
    soft = functional.kl_div(
        functional.log_softmax(logits / temperature, dim=1), torch.softmax(teacher / temperature, dim=1),
        reduction="batchmean",
    )
    return (1 - weight) * functional.cross_entropy(logits, y) + weight * temperature**2 * soft
