"""Benchmarks: suites that compare variants side by side on one machine and print tables."""
