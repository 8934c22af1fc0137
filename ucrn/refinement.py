"""Refinement of modalities before and while they are fused: URM, MJS, SQIL and CRM (UCRN, section 3 and Figure 2).

Each modality m, a sequence X_m of its own length, goes through

    URM     X_m <- TransformerEncoder(X_m), then a learned sum over time:  h_m in R^(k x C)      UnimodalRefinement
    MJS     the h_m are drawn together by a divergence between them, a term of the loss          multimodal_divergence
    SQIL    h_m <- h_m * sigmoid(W_b relu(W_a mean_k(h_m))): what is good of m passes            SelfQualityImprovement
    CRM     z <- TransformerEncoder([h_l; h_a; h_v]), its last step                              CrossmodalRefinement

Tensors are (time, batch, width). Where the paper's figure and the authors' code part, the code is followed and the
other way is an argument.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from common.backbones.mult_transformer import TransformerEncoder


class UnimodalRefinement(TransformerEncoder):
    """URM: a modality's sequence refined by itself, (T, B, C) -> (T, B, C).

    The paper draws attention that sees the whole sequence; the authors' code attends to the past alone
    (attn_mask=True), without positions.
    """


class SelfQualityImprovement(nn.Module):
    """SQIL: every channel weighed by a gate that sees the modality's own channels, (k, B, C) -> (k, B, C).

    The gate is that of squeeze-and-excitation: one hidden unit for every `reduction` channels (30 // 16 = 1 in UCRN).
    Where the hidden units are off, the gate is 0.5 for all channels.
    """

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        hidden = channels // reduction
        self.fc = nn.Sequential(
            nn.Linear(channels, hidden, bias=False), nn.ReLU(), nn.Linear(hidden, channels, bias=False), nn.Sigmoid()
        )

    def gate(self, x: Tensor) -> Tensor:
        """The weights (B, C) in (0, 1), from the mean over the k steps."""
        return self.fc(x.mean(dim=0))

    def forward(self, x: Tensor) -> Tensor:
        """x (k, B, C), weighed by the same gate at every step."""
        return x * self.gate(x)


class CrossmodalRefinement(TransformerEncoder):
    """CRM: the modalities' features side by side, refined together.

    With k = 1 there is one step to attend to: attention is then a linear map of it.
    """

    def forward(self, features: Sequence[Tensor]) -> Tensor:  # type: ignore[override]  # what CRM takes
        """features: (k, B, C) of each modality; returns the last step (B, sum of C)."""
        return super().forward(torch.cat(list(features), dim=-1))[-1]


def multimodal_divergence(features: Sequence[Tensor], true_jensen_shannon: bool = False) -> Tensor:
    """MJS: how far the modalities' features are apart, mean over all pairs; a scalar, 0 for a single modality.

    features: (k, B, C) of each modality.
    The authors' estimator is no Jensen-Shannon divergence; see `unnormalised_divergence` and, for what the name says,
    `jensen_shannon`. With two modalities the authors take the softmax over the k steps first, so that for k = 1 the
    value is always 0.
    """
    stacked = torch.stack(list(features))
    if len(stacked) == 1:
        return stacked.new_zeros(())
    if true_jensen_shannon:
        return jensen_shannon(stacked)
    return unnormalised_divergence(stacked.softmax(dim=1) if len(stacked) == 2 else stacked)


def unnormalised_divergence(features: Tensor) -> Tensor:
    """The authors' estimator: sum (e^p - e^q)(p - q) / (4 k B) of each pair (p, q), mean over the pairs.

    features (M, k, B, C), M = 2 or 3. It is half the sum of the Kullback-Leibler divergences from e^p and from e^q,
    which are not normalised, to e^((p + q) / 2); at least 0 and without a bound.
    """
    modalities, steps, batch, _ = features.shape
    other = features.roll(-1, dims=0)
    return ((features.exp() - other.exp()) * (features - other)).sum() / (4 * steps * batch * modalities)


def jensen_shannon(features: Tensor) -> Tensor:
    """JS(P, Q) = KL(P || M) / 2 + KL(Q || M) / 2 with M = (P + Q) / 2, P and Q the softmax over the C features.

    features (M, k, B, C), M = 2 or 3; mean over steps, samples and pairs; in [0, ln 2].
    """
    log_p = features.log_softmax(dim=-1)
    log_q = log_p.roll(-1, dims=0)
    log_m = torch.logaddexp(log_p, log_q) - math.log(2)
    divergence = log_p.exp() * (log_p - log_m) + log_q.exp() * (log_q - log_m)
    return divergence.sum(dim=-1).mean() / 2
