"""Dynamic Multimodal Fusion (Xue and Marculescu, CVPR 2023 workshops)."""
