"""What single units of a language model stand for (Karpathy, Johnson, Fei-Fei 2015).

Knows a text and an array of activations, and no network. Start at `model.interpretation.units`.
"""
