"""Reads every tensor of checkpoints into memory: the least that any program using safetensors does. usage: read.py DIR..."""
import glob
import sys

from safetensors import safe_open

for directory in sys.argv[1:]:
    for path in sorted(glob.glob(directory + "/*.safetensors")):
        with safe_open(path, "pt") as file:
            for name in file.keys():
                file.get_tensor(name).clone()
