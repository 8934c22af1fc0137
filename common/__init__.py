"""The small layer that the five papers share; no paper's name occurs in it."""
