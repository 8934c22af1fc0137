"""The training objective of CEN's segmentation (Eq. 4) and which parameters it presses on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from cen.exchange import ScaleSlice, scale_penalty
from common.processes import Processes


def segmentation_loss(
    outputs: Sequence[Tensor],
    target: Tensor,
    scale_penalty: Tensor,
    lamda: float,
    ignore_label: int,
    penalty_once: bool = False,
    kept_pixels: Tensor | None = None,
) -> Tensor:
    """Cross-entropy of every stream and of the ensemble, plus lambda times the L1 norm of the scales.

    outputs: logits (B, C, h, w), streams then ensemble, enlarged here (bilinear) to the target's size.
    target: int64 (B, H, W), 0 .. C-1 or ignore_label.
    scale_penalty: scalar. The authors' code adds it once for every output, so that for two streams its
    weight is 3 lambda; the paper adds it once (`penalty_once`).
    kept_pixels: number of pixels that the mean is taken over; default those of `target` that are not
    ignored. Several processes pass their share of all pixels, so that their average is the mean over all.
    Returns a scalar.
    """
    if kept_pixels is None:
        kept_pixels = (target != ignore_label).sum()
    loss = (1 if penalty_once else len(outputs)) * lamda * scale_penalty
    for output in outputs:
        enlarged = F.interpolate(output, size=target.shape[-2:], mode="bilinear", align_corners=False)
        summed = F.cross_entropy(enlarged, target, ignore_index=ignore_label, reduction="sum")
        loss = loss + summed / kept_pixels
    return loss


@dataclass(frozen=True)
class Objective:
    """`segmentation_loss` with the scales of one network.

    parameters: of the bare network, by name; slices: the parts of its scales that are penalised.
    lamda, ignore_label, penalty_once: see `segmentation_loss`.
    """

    parameters: Mapping[str, Tensor]
    slices: Sequence[ScaleSlice]
    lamda: float
    ignore_label: int
    penalty_once: bool = False

    def __call__(self, outputs: Sequence[Tensor], target: Tensor, procs: Processes) -> Tensor:
        """outputs: logits of any precision; target int64 (B, H, W): this process's share of a batch.

        The average over the processes is the mean over all kept pixels of the batch.
        """
        kept = procs.sum((target != self.ignore_label).sum()) / procs.world
        outputs = [output.float() for output in outputs]
        penalty = scale_penalty(self.parameters, self.slices)
        return segmentation_loss(
            outputs, target, penalty, self.lamda, self.ignore_label, self.penalty_once, kept_pixels=kept
        )
