"""Find what single units of a language model respond to (Karpathy, Johnson, Fei-Fei 2015).

Start at `model.interpretation.units`.
"""
