"""Plots, tables and progress bars for training, evaluation and studies."""
