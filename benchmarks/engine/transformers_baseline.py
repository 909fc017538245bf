#!/usr/bin/env python3
"""One measurement of transformers, as EngineBenchmark.java measures this project's engine.

usage: transformers_baseline.py generate|score|single|logits MODEL DTYPE TRAIN.jsonl TEST.jsonl QUESTIONS NEW_TOKENS BATCH OUT.json THREADS
"""
import json, resource, sys, time
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

mode, path, dtype, train, test, questions, new, batch, out, threads = sys.argv[1:]
questions, new, batch = int(questions), int(new), int(batch)
torch.set_num_threads(int(threads))
tok = AutoTokenizer.from_pretrained(path, padding_side="left")
tok.pad_token = tok.pad_token or tok.eos_token
model = AutoModelForCausalLM.from_pretrained(path, dtype=getattr(torch, dtype)).eval()
rows = lambda f, n: [json.loads(line) for line in open(f, encoding="utf-8").readlines()[:n]]
shots = "".join(f"Question: {r['question']}\nAnswer: {r['answer']}\n\n" for r in rows(train, 5))
problems = rows(test, questions)
prompts = [f"{shots}Question: {r['question']}\nAnswer:" for r in problems]
result = {}


def generate(texts, n, **options):
    enc = tok(texts, return_tensors="pt", padding=True)
    ids = model.generate(**enc, max_new_tokens=n, do_sample=False, pad_token_id=tok.pad_token_id, **options)
    return ids[:, enc.input_ids.shape[1]:].tolist()


with torch.inference_mode():
    generate(prompts[:1], 4)
    began, cpu = time.time(), time.process_time()
    if mode == "generate":
        order = sorted(range(len(prompts)), key=lambda i: -len(prompts[i]))
        ids = [None] * len(prompts)
        for b in range(0, len(order), batch):
            some = order[b:b + batch]
            for i, said in zip(some, generate([prompts[i] for i in some], new, stop_strings=["Question:"], tokenizer=tok)):
                ids[i] = said
        result["ids"] = ids
    elif mode == "score":
        pairs = [(tok(p).input_ids, tok(" " + r["answer"], add_special_tokens=False).input_ids) for p, r in zip(prompts, problems)]
        order = sorted(range(len(pairs)), key=lambda i: -len(pairs[i][0]) - len(pairs[i][1]))
        sums = [None] * len(pairs)
        for b in range(0, len(order), batch):
            some = [pairs[i] for i in order[b:b + batch]]
            longest = max(len(p) + len(a) for p, a in some)
            ids = torch.tensor([p + a + [tok.pad_token_id] * (longest - len(p) - len(a)) for p, a in some])
            answer = max(longest - min(len(p) for p, _ in some) + 1, 1)                     # logits of the last positions only
            logits = model(input_ids=ids, logits_to_keep=answer).logits
            for i, (p, a), l in zip(order[b:b + batch], some, logits):
                begin = len(p) - 1 - (longest - answer)
                lp = torch.log_softmax(l[begin:begin + len(a)].float(), -1)
                sums[i] = lp.gather(1, torch.tensor(a)[:, None]).sum().item()
        result["sums"] = sums
    elif mode == "single":
        generate(["Once upon a time"], 8)
        began, cpu = time.time(), time.process_time()
        result["ids"] = generate(["Once upon a time"], new)
    else:
        result["logits"] = [model(**tok(p, return_tensors="pt")).logits[0, -1].float().tolist() for p in (f"Question: {r['question']}\nAnswer:" for r in problems)]
    result["seconds"] = time.time() - began
    result["cpu_seconds"] = time.process_time() - cpu
result["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
json.dump(result, open(out, "w"))
