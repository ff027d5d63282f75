"""Everything learned: pictures to captions with log-probabilities.

Usable without the service in `app`; knows nothing of HTTP. Start at `model.captioning.captioner`.
"""
