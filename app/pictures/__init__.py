"""Decode untrusted bytes to upright RGB pictures."""
