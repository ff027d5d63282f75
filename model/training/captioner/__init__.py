"""The captioner's training: its data, losses, rewards and task."""
