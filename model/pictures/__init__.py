"""Decode untrusted bytes of many formats to an upright RGB picture."""
