"""Reported numbers beside measured ones: python -m reproductions.compare."""
