"""SafeLoRA as published code does it: float32, C = V V^T / |V|_F (out, out) and dW = B A (out, in) built for every module, all of C kept.
usage: dense.py BASE ALIGNED ADAPTER NUMBER. Prints the selected modules."""
import glob
import sys

import torch
from safetensors.torch import load_file


def model(directory):
    return {k: v.float() for path in sorted(glob.glob(directory + "/*.safetensors")) for k, v in load_file(path).items()}


base, aligned = model(sys.argv[1]), model(sys.argv[2])
adapter = load_file(sys.argv[3] + "/adapter_model.safetensors")
projector, cosine = {}, {}
for key in (k for k in adapter if k.endswith("lora_B.weight")):
    name = key[len("base_model.model."):-len(".lora_B.weight")]
    v = aligned[name + ".weight"] - base[name + ".weight"]
    projector[name] = v @ v.T / v.norm()
    update = adapter[key].float() @ adapter[key.replace("lora_B", "lora_A")].float()
    cosine[name] = torch.nn.functional.cosine_similarity((projector[name] @ update).flatten(), update.flatten(), dim=0).item()
chosen = sorted(cosine, key=lambda n: (cosine[n], n))[:int(sys.argv[4])]
for name in chosen:
    key = f"base_model.model.{name}.lora_B.weight"
    adapter[key] = projector[name] @ adapter[key]
print("\n".join(sorted(chosen)))
