"""Scores that more than one paper reports."""
