"""Measure captions: BLEU, ROUGE-L, CIDEr, METEOR, diversity and calibration.

Nothing here is needed to run a model. Start at `model.evaluation.metrics`.
"""
