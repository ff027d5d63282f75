"""The language model's training: its streams, its loss, its trainer."""
