"""Spoken sentences with a planted sentiment, which stand-ins of sentiment clips draw from."""
