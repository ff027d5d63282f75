"""What executes a network: PyTorch, CUDA graphs or OpenVINO."""
