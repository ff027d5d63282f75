"""What holds for every test."""

import os

# Tiny models of every kind are made by the hundred, and exporting one to OpenVINO takes seconds:
# tests that need it ask for it.
os.environ.setdefault("UNROLLED_RUNTIME", "torch")
# Sharing the work of a tiny model among threads takes longer than the work itself.
os.environ.setdefault("OMP_NUM_THREADS", "1")
