"""The training objective of UCRN: L1 of the sentiment, plus the divergence between the refined modalities."""

from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from ucrn.model import Output
from ucrn.refinement import multimodal_divergence


class Losses(NamedTuple):
    """Scalars: mean absolute error, divergence (MJS, also computed where it is not part of the total), the total."""

    l1: Tensor
    mjsd: Tensor
    total: Tensor


@dataclass(frozen=True)
class Objective:
    """L1 + MJS with `jsd`, else L1 (weight 1). true_js: MJS is a true Jensen-Shannon divergence."""

    jsd: bool
    true_js: bool = False

    def __call__(self, output: Output, labels: Tensor, batch: float | None = None) -> Losses:
        """labels (B, 1). batch: the sums over clips are divided by it instead of B.

        Several processes, and parts of a batch, give it the size of the whole batch divided by the number of processes,
        so that their losses, added up over the parts and averaged over the processes, are those of the whole batch.
        """
        share = len(labels) / (batch or len(labels))
        l1 = share * (output.prediction.float() - labels).abs().mean()
        features = [h.float() for h in output.refined]
        mjsd = share * multimodal_divergence(features if self.jsd else [h.detach() for h in features], self.true_js)
        return Losses(l1, mjsd, l1 + mjsd if self.jsd else l1)
