"""Data sets for training and evaluation; code that only runs a model never imports this."""
