"""The training objective of UCRN: L1 of the sentiment, plus the divergence between the refined modalities."""

from typing import NamedTuple

from torch import Tensor

from ucrn.model import Output
from ucrn.refinement import multimodal_divergence


class Losses(NamedTuple):
    """Scalars: mean absolute error, divergence (MJS, recorded also where it is no part of the total), their total."""

    l1: Tensor
    mjsd: Tensor
    total: Tensor


def objective(output: Output, labels: Tensor, jsd: bool, true_js: bool, batch: float | None = None) -> Losses:
    """L1 + MJS with `jsd`, else L1 (weight 1).

    labels (B, 1). batch: what both means are divided by in the place of B; several processes give the size of the
    whole batch over their number, so that their average is the mean over all of it.
    """
    share = len(labels) / (batch or len(labels))
    l1 = share * (output.prediction.float() - labels).abs().mean()
    features = [h.float() for h in output.refined]
    mjsd = share * multimodal_divergence(features if jsd else [h.detach() for h in features], true_js)
    return Losses(l1, mjsd, l1 + mjsd if jsd else l1)
