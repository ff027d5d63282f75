"""The captioner's training: its data, its losses, its trainer."""
