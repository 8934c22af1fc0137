"""How the gate of a dynamic network is trained, tested and accounted for."""

from dataclasses import dataclass

from torch import nn

from dynmm.modality.networks.two_experts import TwoExperts


@dataclass(frozen=True)
class Gating:
    """Choices about a gate; the defaults are those of a network without one.

    reg: lambda, the weight of expert 2's share in the loss. freeze: the gate alone is trained; still: frozen experts
    then stay in eval mode. real_gating: when a hard gate runs the chosen expert alone, "inference", "always" or
    "never". infer_mode: as --infer-mode gives it; 1 or 2 is that expert alone. hard_test: the official test sets a
    hard gate whatever was trained. counted_once: multiply-adds of soft weights count the gate once, not once an
    expert.
    """

    reg: float = 0.0
    freeze: bool = False
    still: bool = False
    real_gating: str = "never"
    infer_mode: int = 0
    hard_test: bool = False
    counted_once: bool = False

    def routes(self, model: nn.Module) -> bool:
        """Whether at inference the chosen expert alone runs."""
        return self.real_gating != "never" and isinstance(model, TwoExperts) and model.hard


NO_GATE = Gating()
