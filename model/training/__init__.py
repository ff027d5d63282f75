"""Training entry points; what only runs a model never imports this."""
