"""Unimodal and Crossmodal Refinement Network for Multimodal Sequence Fusion (Guo et al., EMNLP 2021)."""
