"""Training; code that only runs a model never imports this."""
