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


# Every repair, of an adapter and of a fine-tuned checkpoint, of three families, dense in float64:
#   llama float32; phi3 bfloat16 (fused qkv_proj and gate_up_proj); gpt2 float16 (Conv1D: weights are stored (in, out), which the reference does
#   not know, so all numbers of this part are computed here). All sharded. Some modules are wide, of full rank, some tall.
# FAMILY/{base,aligned,tuned,adapter,safety}; expected.safetensors: "adapter/REPAIR/MODULE" the dense update s B' A' (out, in), "tuned/REPAIR/MODULE"
# the weight W' (out, in); expected.json: cosines by side and projector.
def sharded(d, w, config):
    os.makedirs(d, exist_ok=True); names = list(w); where = {}
    for k, part in enumerate((names[::2], names[1::2])):
        f = f"model-{k + 1:05d}-of-00002.safetensors"; where.update({n: f for n in part})
        save_file({n: w[n].contiguous() for n in part}, f"{d}/{f}", metadata={"format": "pt"})
    json.dump({"metadata": {"total_size": sum(t.numel() * t.element_size() for t in w.values())}, "weight_map": where}, open(f"{d}/model.safetensors.index.json", "w"), indent=1)
    json.dump(config, open(f"{d}/config.json", "w"))


def peft(d, modules, r, alpha, **more):
    os.makedirs(d, exist_ok=True)
    save_file({f"base_model.model.{n}.lora_{x}.weight": t for n, (a, b) in modules.items() for x, t in (("A", a), ("B", b))}, f"{d}/adapter_model.safetensors", metadata={"format": "pt"})
    json.dump(dict(peft_type="LORA", task_type="CAUSAL_LM", r=r, lora_alpha=alpha, bias="none", target_modules=sorted({n.split(".")[-1] for n in modules})) | more, open(f"{d}/adapter_config.json", "w"), indent=1)


def projector(v, kind):
    u, s, _ = torch.linalg.svd(v, full_matrices=False)
    if kind == "approximate": return v @ v.T / v.norm()
    if kind == "normalized": return v @ v.T / s[0] ** 2
    if kind == "exact": return v @ torch.linalg.pinv(v.T @ v, hermitian=True) @ v.T
    k = int((torch.cumsum(s ** 2, 0) < 0.8 * (s ** 2).sum()).sum()) + 1  # subspace of energy 0.8
    return u[:, :k] @ u[:, :k].T


PHI3 = {"self_attn.qkv_proj": (36, 12), "self_attn.o_proj": (12, 12), "mlp.gate_up_proj": (40, 12), "mlp.down_proj": (12, 20)}
GPT2 = {"attn.c_attn": (36, 12), "attn.c_proj": (12, 12), "mlp.c_fc": (32, 12), "mlp.c_proj": (12, 32)}
LLAMA = {"self_attn.q_proj": (12, 12), "self_attn.k_proj": (4, 12), "mlp.gate_proj": (20, 12), "mlp.down_proj": (12, 20)}
for family, dtype, shapes, layer in (("llama", torch.float32, LLAMA, "model.layers.0."), ("phi3", torch.bfloat16, PHI3, "model.layers.0."),
                                     ("gpt2", torch.float16, GPT2, "transformer.h.0.")):
    conv1d = family == "gpt2"
    store = lambda w: (w.T if conv1d else w).to(dtype).contiguous()
    load = lambda w: (w.T if conv1d else w).double()
    bare = lambda n: n[len("transformer."):] if conv1d else n  # the Hub's GPT-2 checkpoints lack the prefix that fine-tuned ones have
    lin, cos, out = {}, {"adapter": {}, "tuned": {}}, {}
    sides = {"base": {}, "aligned": {}, "tuned": {}}
    for m, (o, i) in shapes.items():
        w = torch.randn(o, i) * 0.05; lin[layer + m] = (o, i)
        v = torch.randn(o, 3) @ torch.randn(3, i) * 4e-3 + torch.randn(o, i) * 2e-3
        for side, x in (("base", w), ("aligned", w + v), ("tuned", w + v + torch.randn(o, 2) @ torch.randn(2, i) * 1e-2)):
            sides[side][(layer + m if side == "tuned" else bare(layer + m)) + ".weight"] = store(x)
    norm = "transformer.ln_f.weight" if conv1d else "model.norm.weight"
    table = "transformer.wte.weight" if conv1d else "model.embed_tokens.weight"
    for side in sides:
        sides[side][norm if side == "tuned" else bare(norm)] = torch.randn(12).to(dtype)
        sides[side][table if side == "tuned" else bare(table)] = torch.randn(10, 12).to(dtype)
        sharded(f"{family}/{side}", sides[side], {"model_type": family})
    open(f"{family}/tuned/tokenizer.json", "w").write('{"kept": true}\n')
    lora, safe = ({n: (torch.randn(r(n), i) * i ** -0.5, torch.randn(o, r(n)) * 0.02) for n, (o, i) in lin.items()}
                  for r in ((lambda n: 3 if "attn" in n and "proj" in n else 2), lambda n: 4))
    ranks = {m.split(".")[-1]: 3 for m in shapes if "attn" in m and "proj" in m}
    if conv1d: ranks = {"attn.c_proj": 3}
    alphas = {"down_proj" if not conv1d else "c_fc": 7}
    peft(f"{family}/adapter", lora, 2, 4, rank_pattern=ranks, alpha_pattern=alphas, fan_in_fan_out=conv1d)
    peft(f"{family}/safety", safe, 4, 4, fan_in_fan_out=conv1d)
    for n, (a, b) in lora.items():
        a, b = a.double(), b.double()
        al = load(sides["aligned"][bare(n) + ".weight"]); v = al - load(sides["base"][bare(n) + ".weight"])
        s = (7 if n.endswith(tuple(alphas)) else 4) / b.shape[1]
        u, sv, vt = torch.linalg.svd(v); low = u[:, :3] @ torch.diag(sv[:3]) @ vt[:3]
        other = safe[n][1].double() @ safe[n][0].double()  # scale 4 / 4
        for side, d in (("adapter", s * b @ a), ("tuned", load(sides["tuned"][n + ".weight"]) - al)):
            start = al if side == "tuned" else 0
            for kind in ("approximate", "normalized", "exact", "subspace"):
                p = projector(v, kind) @ d
                cos[side].setdefault(kind, {})[n] = ((p * d).sum() / p.norm() / d.norm()).item()
                out[f"{side}/{kind}/{n}"] = start + p
            out[f"{side}/blend/{n}"] = start + 0.7 * d + 0.3 * projector(v, "approximate") @ d
            out[f"{side}/scale/{n}"] = start + 0.25 * d
            out[f"{side}/safe-merge/{n}"] = start + 0.4 * d + 0.6 * other
            out[f"{side}/safety-vector/{n}"] = start + d + 0.5 * low
    save_file({k: t.float().contiguous() for k, t in out.items()}, f"{family}/expected.safetensors")
    json.dump(cos, open(f"{family}/expected.json", "w"), indent=1)
    if conv1d: continue
    for kind in ("approximate", "exact"):  # what is said above is what the reference says
        subprocess.check_call([sys.executable, sys.argv[1], f"{family}/base", f"{family}/aligned", f"{family}/adapter", "/tmp/ref.json", "--projector", kind])
        for m in json.load(open("/tmp/ref.json"))["modules"]: assert abs(m["cosine"] - cos["adapter"][kind][m["module"]]) < 1e-9, m
