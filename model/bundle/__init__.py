"""Bundles on disk: find, read, check and write them."""
