"""Photographs to captions with log-probabilities. Start at `captioner.py`."""
