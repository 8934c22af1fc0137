"""The training objective of CEN's segmentation (Eq. 4) and which parameters it presses on."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor


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
