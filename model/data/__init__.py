"""Data sets for training and evaluation; what only runs a model never imports this."""
