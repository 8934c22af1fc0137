"""What DynMM's two networks do alike: a gate between a cheap expert, which sees the text alone, and a costly one."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dynmm.gate import Gated, diff_softmax, mix, resource_loss, route


class TwoExperts(nn.Module):
    """Expert 1 on the text, expert 2 on all inputs, and a gate that weighs them; a subclass holds the networks.

    temperature, hard: of the gate. infer_mode: 1 or 2 forces that expert, otherwise gated; where `halves`, -1 weighs
    each by 1/2. The three are plain attributes and may be set between batches; nothing else is kept from one batch to
    the next. text: place of the text among the inputs, 0 or -1, so that it is the same in a list of the text alone.
    """

    temperature: float
    hard: bool
    infer_mode: int
    text: int
    halves = False
    text_encoder: nn.Module
    text_head: nn.Module
    gate: nn.Module

    def experts(self) -> list[nn.Module]:
        """All modules but the gate: what --freeze freezes."""
        raise NotImplementedError

    def gate_logits(self, inputs: Sequence[Tensor], lengths: Tensor | None = None) -> Tensor:
        """The gate on the concatenated inputs: (B, 2)."""
        raise NotImplementedError

    def costly(self, inputs: Sequence[Tensor], lengths: Tensor | None = None) -> Tensor:
        """Expert 2 on all inputs: (B, C)."""
        raise NotImplementedError

    def least_batch(self) -> int:
        """The fewest samples that an expert can be run on."""
        return 1

    def freeze_experts(self) -> None:
        """Take the gradients of everything but the gate; modes (train, eval) stay as they are."""
        for expert in self.experts():
            expert.requires_grad_(False)

    def run_expert(self, number: int, inputs: Sequence[Tensor], lengths: Tensor | None = None) -> Tensor:
        """Prediction (B, C) of expert 1 (text) or 2."""
        if number == 1:
            return self.text_head(self.text_encoder(inputs[self.text], lengths))
        return self.costly(inputs, lengths)

    def forward(self, inputs: Sequence[Tensor], lengths: Tensor | None = None, real_gating: bool = False) -> Gated:
        """Both experts, weighed; with a forced expert that one alone, at cost 0.

        Halves cost 1/2; the weights returned are the gate's all the same.
        real_gating: what `routed` does, with a gradient for the gate; here so that a wrapper of forward
        (DistributedDataParallel, with find_unused_parameters) sees it.
        """
        if real_gating:
            return self.routed(inputs, lengths, straight_through=True)
        logits = self.gate_logits(inputs, lengths)
        weights = diff_softmax(logits, self.temperature, self.hard)
        if self.infer_mode > 0:
            prediction = self.run_expert(self.infer_mode, inputs, lengths)
            return Gated(prediction, weights.new_zeros(()), weights, logits)
        used = torch.full_like(weights, 0.5) if self.halves and self.infer_mode == -1 else weights
        outputs = [self.run_expert(number, inputs, lengths) for number in (1, 2)]
        return Gated(mix(used, outputs), resource_loss(used, (0, 1)), weights, logits)

    def routed(self, inputs: Sequence[Tensor], lengths: Tensor | None = None, straight_through: bool = False) -> Gated:
        """Run on each sample its chosen expert alone (dynmm.gate.route); the gate is hard whatever `hard` says.

        Samples keep the batch's padding, so that in eval mode this is the same as forward with a hard gate, up
        to rounding. straight_through: for training; the gate's gradient is then not the published one (see
        route). A forced expert, or halves, run as in forward.
        """
        if self.infer_mode > 0 or (self.halves and self.infer_mode < 0):
            return self.forward(inputs, lengths)
        logits = self.gate_logits(inputs, lengths)
        weights = diff_softmax(logits, self.temperature, hard=True)

        def run(number: int, index: Tensor) -> Tensor:
            chosen = [inputs[self.text][index]] if number == 1 else [x[index] for x in inputs]
            return self.run_expert(number, chosen, None if lengths is None else lengths.to(index.device)[index])

        prediction = route(weights, [lambda i: run(1, i), lambda i: run(2, i)], straight_through, self.least_batch())
        return Gated(prediction, resource_loss(weights, (0, 1)), weights, logits)
