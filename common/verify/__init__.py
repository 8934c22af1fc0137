"""Reads every sample of a data set, and says what is there and what is wrong."""
