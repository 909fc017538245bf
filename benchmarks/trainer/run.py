#!/usr/bin/env python3
"""Our trainer beside PEFT + transformers' Trainer: the same model, rows, initial adapter and options, one after the other in one run.

usage: run.py MODEL GSM8K.jsonl [--python PYTHON] [--rows 64] [--runs float32,bfloat16,bfloat16-top] [--out DIR]

Per run a line for each side: rows per second over the whole process (start, loading, the first step: everything), its processor seconds, which
other load on the machine disturbs less, peak resident memory, and the distance of the loss curves. batch 4, accumulation 4, r 8 on q_proj and v_proj, loss on the answers. bfloat16-top: only the top third of the
layers. Both sides run with GOMP_SPINCOUNT=1000 (unless set): with
OpenMP's default their threads spin whenever something else has the core. PYTHON has torch, transformers and peft; ours needs none of it. Needs: Linux.
"""
import argparse, json, math, os, shutil, subprocess, sys, time

here = os.path.dirname(os.path.abspath(__file__))
p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
p.add_argument("model"); p.add_argument("data"); p.add_argument("--python", default=sys.executable)
p.add_argument("--rows", type=int, default=64); p.add_argument("--runs", default="float32,bfloat16,bfloat16-top")
p.add_argument("--out", default="/tmp/safelora-benchmark-trainer")
a = p.parse_args()
layers = json.load(open(os.path.join(a.model, "config.json")))["num_hidden_layers"]


def run(command, log):
    """Wall seconds, processor seconds and peak resident GB of a process."""
    with open(log, "w") as f:
        began = time.time()
        child = subprocess.Popen(command, stdout=f, stderr=f, env={"GOMP_SPINCOUNT": "1000", **os.environ})
        _, status, usage = os.wait4(child.pid, 0)
    if status:
        sys.exit(f"{' '.join(command)} failed; see {log}")
    return time.time() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1e6


def losses(out):
    return [s["loss"] for s in json.load(open(f"{out}/trainer_state.json"))["log_history"] if "loss" in s]


subprocess.run([f"{here}/../../safelora", "--version"], check=False, stdout=subprocess.DEVNULL)   # builds, if need be
print(f"{'run':14} {'side':6} {'rows/s':>7} {'seconds':>8} {'cpu s':>7} {'peak GB':>8}   losses")
for name in a.runs.split(","):
    dtype = name.split("-")[0]
    top = ",".join(str(n) for n in range(layers - layers // 3, layers)) if name.endswith("-top") else ""
    out = f"{a.out}/{name}"
    shutil.rmtree(out, ignore_errors=True); os.makedirs(f"{out}/theirs")
    subprocess.run([a.python, f"{here}/peft_side.py", "--init", a.model, f"{out}/init", top], check=True, stderr=subprocess.DEVNULL)
    results = {}
    for side in ("theirs", "ours"):
        command = [a.python, f"{here}/peft_side.py", a.model, a.data, f"{out}/theirs", dtype, str(a.rows), top]
        if side == "ours":
            with open(a.data, encoding="utf-8") as f, open(f"{out}/rows.jsonl", "w", encoding="utf-8") as g:
                g.writelines(line for _, line in zip(range(a.rows), f))
            command = [f"{here}/../../safelora", "train", "--model", a.model, "--data", f"{out}/rows.jsonl", "--out", f"{out}/ours",
                       "--init-adapter", f"{out}/init", "--per-device-train-batch-size", "4", "--gradient-accumulation-steps", "4",
                       "--num-train-epochs", "1", "--learning-rate", "2e-4", "--max-length", "512", "--no-shuffle", "--device", "cpu",
                       "--dtype", dtype]
        seconds, busy, peak = run(command, f"{out}/{side}.log")
        results[side] = (a.rows / seconds, busy, peak, losses(f"{out}/{side}"))
        print(f"{name:14} {side:6} {a.rows / seconds:7.3f} {seconds:8.1f} {busy:7.1f} {peak:8.2f}   " + " ".join(f"{x:.4f}" for x in results[side][3]), flush=True)
    (r, c, m, x), (r2, c2, m2, y) = results["theirs"], results["ours"]
    far = max(abs(i - j) for i, j in zip(x, y)) if len(x) == len(y) else math.inf
    print(f"{name:14} ours / theirs: {r2 / r:.2f} times the rows per second ({c / c2:.2f} times per processor second), {m2 / m:.2f} of the memory; largest distance of the losses {far:.4f}\n", flush=True)
