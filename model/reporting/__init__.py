"""Plots, tables and progress bars, for whoever measures something."""
