"""How people reach the models: the HTTP service and the `unrolled` command."""
