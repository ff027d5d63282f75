"""What holds for every test."""

import os

# Tiny models of every kind are made by the hundred, and turning one into OpenVINO's form takes
# seconds: tests say so where they want it.
os.environ.setdefault("UNROLLED_RUNTIME", "torch")
