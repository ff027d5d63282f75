"""Runtimes that execute a network: PyTorch, CUDA graphs and OpenVINO."""
