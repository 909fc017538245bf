#!/usr/bin/env python3
"""The same evaluation by lm-evaluation-harness (GSM8K), transformers and PEFT (requests and guard).

usage: theirs.py PLAN.json; writes theirs.json beside it
"""
import csv
import json
import os
import resource
import sys
import time

os.environ.update(HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1")
began, cpu = time.time(), time.process_time()
import lm_eval  # noqa: E402
import torch  # noqa: E402
import yaml  # noqa: E402
from lm_eval.models.huggingface import HFLM  # noqa: E402
from lm_eval.tasks import TaskManager  # noqa: E402
from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: E402

plan = json.load(open(sys.argv[1]))
out, batch = plan["out"], plan["their_batch"]
torch.set_num_threads(plan["threads"])
dtype = getattr(torch, plan["dtype"])
seconds = {"start": time.time() - began}
models = {"aligned": None, "fine-tuned": f"{out}/adapter", "projected": f"{out}/repaired"}


def clock(name, since):
    seconds[name] = seconds.get(name, 0) + time.time() - since


def requests(name, count):
    with open(f"{out}/{name}.csv", newline="", encoding="utf-8") as file:
        return [row["goal"] for row in csv.DictReader(file)][:count]


def answers(model, tokenizer, prompts, new):
    """Greedy, longest prompts first, left padded."""
    said = [None] * len(prompts)
    order = sorted(range(len(prompts)), key=lambda i: -len(prompts[i]))
    for at in range(0, len(order), batch):
        some = order[at:at + batch]
        enc = tokenizer([prompts[i] for i in some], return_tensors="pt", padding=True, add_special_tokens=False)
        with torch.inference_mode():
            ids = model.generate(**enc, max_new_tokens=new, do_sample=False, pad_token_id=tokenizer.pad_token_id)
        for i, text in zip(some, tokenizer.batch_decode(ids[:, enc.input_ids.shape[1]:], skip_special_tokens=True)):
            said[i] = text
    return said


def left_padded(path):
    tokenizer = AutoTokenizer.from_pretrained(path, padding_side="left")
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    return tokenizer


folder = os.path.join(os.path.dirname(lm_eval.__file__), "tasks", "gsm8k", "gsm8k.yaml")
task = yaml.safe_load(open(folder))
for key in ("dataset_name", "tag"):
    task.pop(key, None)
task.update(dataset_path="json", dataset_kwargs={"data_files": {"train": plan["train"], "test": plan["test"]}}, num_fewshot=plan["num_fewshot"])
task["generation_kwargs"]["max_gen_toks"] = plan["gsm8k_tokens"]
if plan["sampler"] != "default":
    task["fewshot_config"] = {"sampler": plan["sampler"]}
manager = TaskManager(include_defaults=False)
tokenizer = left_padded(plan["model"])
scores, exchanges = {}, []
for name, adapter in models.items():
    at = time.time()
    lm = HFLM(pretrained=plan["model"], peft=adapter, dtype=plan["dtype"], batch_size=batch, device="cpu")
    clock("load", at)
    at = time.time()
    result = lm_eval.simple_evaluate(model=lm, tasks=[dict(task)], limit=plan["questions"], task_manager=manager, bootstrap_iters=0)
    scores[name] = result["results"]["gsm8k"]["exact_match,flexible-extract"]
    clock("gsm8k", at)
    for kind in ("harmful", "harmless"):
        at = time.time()
        asked = requests(kind, plan[kind])
        prompts = [tokenizer.apply_chat_template([{"role": "user", "content": r}], tokenize=False, add_generation_prompt=True) for r in asked]
        exchanges += [(kind, name, r, a) for r, a in zip(asked, answers(lm.model, tokenizer, prompts, plan["answer_tokens"]))]
        clock("requests", at)
    del lm
at = time.time()
guard_tokenizer = left_padded(plan["guard"])
guard = AutoModelForCausalLM.from_pretrained(plan["guard"], dtype=dtype).eval()
chats = [guard_tokenizer.apply_chat_template([{"role": "user", "content": r}, {"role": "assistant", "content": a}], tokenize=False)
         for _, _, r, a in exchanges]
limit = {"qwen3guard": 128, "llama-guard-3": 64}[plan["guard_type"]]
judged = answers(guard, guard_tokenizer, chats, limit)
clock("guard", at)
json.dump({"seconds": time.time() - began, "cpu_seconds": time.process_time() - cpu, "parts": seconds,
           "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024, "gsm8k": scores,
           "answers": [[k, n, a] for k, n, _, a in exchanges], "judged": judged}, open(f"{out}/theirs.json", "w"))
