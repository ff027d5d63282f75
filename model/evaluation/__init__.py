"""How good captions are: BLEU, ROUGE-L, CIDEr, METEOR, and how varied the captions are.

Knows text only; nothing here is needed to run a model. Start at `model.evaluation.metrics`.
"""
