#!/usr/bin/env python3
"""Writes spectra/ and the analysis-*.json beside this file. usage: make_analysis.py (needs torch, safetensors; after make_fixtures.py)

spectra/base, spectra/aligned: a bfloat16 pair of two modules larger than the sketch is wide: one whose delta decays, one whose delta is flat.
analysis-NAME.json: what dense arithmetic in float64 (torch.linalg.svdvals) says of a pair; float32-bfloat16 is the float32 base against the bfloat16 aligned. rounding_share is
no estimate here: it is |V - V before rounding|^2 / |V|^2.
"""
import json, os, torch
from safetensors.torch import load_file, save_file

os.chdir(os.path.dirname(os.path.abspath(__file__)))
torch.manual_seed(11)
m, n, bf = 112, 100, torch.bfloat16
before = {f"model.layers.0.mlp.{x}_proj.weight": torch.randn(m, n) * 0.05 for x in ("up", "gate")}
decaying = (torch.randn(m, 80) * torch.logspace(0, -3, 80)) @ torch.randn(80, n) * 4e-3
delta = {"model.layers.0.mlp.up_proj.weight": decaying, "model.layers.0.mlp.gate_proj.weight": torch.randn(m, n) * 1e-4}
after = {k: v + delta[k] for k, v in before.items()}
for side, w in (("base", before), ("aligned", after)):
    os.makedirs(f"spectra/{side}", exist_ok=True)
    save_file({k: v.to(bf) for k, v in w.items()}, f"spectra/{side}/model.safetensors", metadata={"format": "pt"})
known = {"spectra": (before, after)}

BITS = {torch.bfloat16: 7, torch.float16: 10, torch.float32: 23}
INT = {torch.bfloat16: torch.int16, torch.float16: torch.int16, torch.float32: torch.int32}


def ordered(w):  # integers that count the representable numbers
    i = w.contiguous().view(INT[w.dtype]).long()
    return torch.where(i < 0, -(i & (0x7fff if w.element_size() == 2 else 0x7fffffff)), i)


for name, b, a in (("float32", "float32/base", "float32/aligned"), ("float16", "float16/base", "float16/aligned"), ("bfloat16", "bfloat16/base", "bfloat16/aligned"),
                   ("float32-bfloat16", "float32/base", "bfloat16/aligned"), ("spectra", "spectra/base", "spectra/aligned")):
    b, a, modules = load_file(f"{b}/model.safetensors"), load_file(f"{a}/model.safetensors"), []
    before, after = known.get(name) or (load_file("float32/base/model.safetensors"), load_file("float32/aligned/model.safetensors"))
    for key in sorted(k for k in a if a[k].dim() == 2):
        v = a[key].double() - b[key].double()
        s = torch.linalg.svdvals(v) ** 2
        coarse = min(a[key].dtype, b[key].dtype, key=BITS.get)
        x, y = a[key].to(coarse), b[key].to(coarse)
        modules.append({"module": key[:-len(".weight")], "delta_norm": v.norm().item(), "base_norm": b[key].double().norm().item(), "spectral": s[0].sqrt().item(),
                        "stable_rank": (s.sum() / s[0]).item(), "energy_shares": [(s[:k].sum() / s.sum()).item() for k in (1, 2, 4, 8, 16, 32, 64)],
                        "equal_share": (x == y).double().mean().item(), "one_ulp_share": ((ordered(x) - ordered(y)).abs() == 1).double().mean().item(),
                        "rounding_share": ((v - (after[key].double() - before[key].double())).norm() ** 2 / s.sum()).item()})
    json.dump(modules, open(f"analysis-{name}.json", "w"), indent=1)
    if name == "spectra": print(json.dumps(modules, indent=1))
