#!/usr/bin/env python3
"""Writes the fixtures beside this file. usage: make_fixtures.py SAFELORA_REFERENCE.py (needs torch, safetensors)

For float32, bfloat16 and float16: a base/aligned pair of two tiny Llama layers (four linear modules each; aligned = base + low-rank delta + noise), and
what the dense float64 reference of SafeLoRA (arXiv 2405.16833) makes of a LoRA adapter on all eight modules.
"""
import json, os, subprocess, sys, torch
from safetensors.torch import save_file

here = os.path.dirname(os.path.abspath(__file__)); os.chdir(here)
torch.manual_seed(7)
linear = {"self_attn.q_proj": (24, 24), "self_attn.k_proj": (8, 24), "mlp.gate_proj": (40, 24), "mlp.down_proj": (24, 40)}
base, delta, adapter = {}, {}, {}
for l in range(2):
    for m, (o, i) in linear.items():
        name = f"model.layers.{l}.{m}"
        base[name + ".weight"] = torch.randn(o, i) * 0.05
        delta[name + ".weight"] = torch.randn(o, 3) @ torch.randn(3, i) * 4e-3 + torch.randn(o, i) * 2e-3
        adapter[f"base_model.model.{name}.lora_A.weight"] = torch.randn(4, i) * i ** -0.5
        adapter[f"base_model.model.{name}.lora_B.weight"] = torch.randn(o, 4) * 0.02
os.makedirs("adapter", exist_ok=True)
save_file(adapter, "adapter/adapter_model.safetensors", metadata={"format": "pt"})
json.dump(dict(peft_type="LORA", task_type="CAUSAL_LM", base_model_name_or_path="aligned", r=4, lora_alpha=8, lora_dropout=0.0, bias="none",
               fan_in_fan_out=False, inference_mode=True, target_modules=[m.split(".")[1] for m in linear]),
          open("adapter/adapter_config.json", "w"), indent=1)
for dtype in ("float32", "bfloat16", "float16"):
    t = getattr(torch, dtype)
    for side in ("base", "aligned"):
        d = f"{dtype}/{side}"; os.makedirs(d, exist_ok=True)
        w = {k: (v + delta[k] if side == "aligned" else v).to(t).contiguous() for k, v in base.items()}
        w["model.norm.weight"] = torch.ones(24, dtype=t)
        save_file(w, f"{d}/model.safetensors", metadata={"format": "pt"})
        json.dump({"model_type": "llama"}, open(f"{d}/config.json", "w"))
    # The other six modules are wide or square, of full rank: exact leaves them as they are, cosine 1, order by rounding.
    for projector in ("approximate", "exact"):
        out = f"{dtype}/{projector}"
        run = [sys.executable, sys.argv[1], f"{dtype}/base", f"{dtype}/aligned", "adapter"]
        subprocess.check_call(run + [f"{out}-number.json", "--projector", projector, "--number", "5" if projector == "approximate" else "2", "--save", out])
        subprocess.check_call(run + [f"{out}-threshold.json", "--projector", projector, "--strategy", "threshold", "--threshold",
                                     "0.5" if projector == "approximate" else "0.95"])
        os.remove(f"{out}/adapter_config.json")
