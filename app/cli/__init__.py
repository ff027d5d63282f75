"""The `unrolled` command line, one module per command."""
