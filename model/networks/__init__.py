"""The networks, as PyTorch modules, and the arrays that they exchange."""
