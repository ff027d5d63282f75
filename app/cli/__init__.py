"""The `unrolled` command, one module a command."""
