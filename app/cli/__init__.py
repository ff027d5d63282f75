"""The `unrolled` command line, one module per command."""

import gc

# What a command imports is tens of thousands of objects, all of them to stay. To look for garbage
# among them at every 700th, as Python does, takes a tenth of the time to start.
gc.set_threshold(50_000)
