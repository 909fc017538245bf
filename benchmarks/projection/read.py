"""Reads every tensor of checkpoints into memory by safetensors, and prints the seconds, Python's start and imports not included.
usage: read.py DIR..."""
import glob
import sys
import time

from safetensors import safe_open

start = time.perf_counter()
for directory in sys.argv[1:]:
    for path in sorted(glob.glob(directory + "/*.safetensors")):
        with safe_open(path, "pt") as file:
            for name in file.keys():
                file.get_tensor(name).clone()
print(f"{time.perf_counter() - start:.2f}")
