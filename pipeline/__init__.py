"""impasto: batch neural style transfer that gives every photograph its own colours back."""

__version__ = "0.1.0"

import os

# Read by torch when it first allocates: large tensors on huge pages. Without it the kernel clears each tensor in pages
# of 4 KB, which on Linux takes up to five times as long as the pooling or masking that fills the tensor.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
