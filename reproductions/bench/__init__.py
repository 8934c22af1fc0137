"""Benchmarks: ratios measured in one run, never without the machine's name."""
