"""The language model's training: its streams, loss and task."""
