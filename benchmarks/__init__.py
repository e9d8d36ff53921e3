"""What prints every figure we claim; each file is a command, `python -m benchmarks.<name>`."""

import os

# As in twinrig.py: the linear algebra of small matrices is fastest, and the same, on one thread.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
