"""Language models: write text, score it, look at the units. Start at `language_model.py`."""
