"""Emotion recognition from text and audio: the paper's second task, of which no published code exists."""
