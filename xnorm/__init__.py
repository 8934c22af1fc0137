"""X-Norm: Exchanging Normalization Parameters for Bimodal Fusion (Yin et al., ICMI 2022)."""
