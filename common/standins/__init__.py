"""Writes stand-ins: small, seeded, learnable data sets and weights in the official formats."""
