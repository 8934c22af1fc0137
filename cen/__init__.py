"""Deep Multimodal Fusion by Channel Exchanging (Wang et al., NeurIPS 2020)."""
