"""Requests to results, without HTTP: the engine, its threads, its batches, its models."""
