"""From a step function to sequences: beam search and sampling. No model is known here."""
