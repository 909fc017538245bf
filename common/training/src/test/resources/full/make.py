#!/usr/bin/env python3
"""Fully fine-tune tiny models with transformers, for OracleTest's allWeights.

usage: make.py        (torch, transformers; seconds; after ../peft/make.py, whose models, tokenizer and rows it takes)

NAME/trace.json               the options, and per optimizer step: loss, gradient norm before clipping, learning rate
NAME/update.safetensors       what the weights have become, less what they were, in float16 (to save space: that is to 5e-4)
llama-tied/model/             a random Llama with a tied head, in bfloat16; its tokenizer is that of ../peft/model
Prompts, masking, batches, loss, schedule and clipping are those of peft_train.py; what decays is what transformers' Trainer lets decay.
"""
import json, math, os
import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, Trainer

here = os.path.dirname(os.path.abspath(__file__))
peft = os.path.join(here, "..", "peft")
torch.set_num_threads(2)
tok = AutoTokenizer.from_pretrained(os.path.join(peft, "model"))
data = [json.loads(l) for l in open(os.path.join(peft, "rows.jsonl"), encoding="utf-8")]


def make_tied():
    torch.manual_seed(4)
    model = AutoModelForCausalLM.from_config(LlamaConfig(
        hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=256,
        vocab_size=320, bos_token_id=0, eos_token_id=2, pad_token_id=0, tie_word_embeddings=True)).float()
    with torch.no_grad():
        for w in model.parameters(): w.normal_(0, 0.12) if w.dim() > 1 else w.add_(torch.randn_like(w) * 0.1)
    out = os.path.join(here, "llama-tied", "model")
    model.to(torch.bfloat16).save_pretrained(out)
    os.remove(os.path.join(out, "generation_config.json"))


def encode(r, max_length):
    q = tok(f"Question: {r['question'].strip()}\nAnswer:", add_special_tokens=False).input_ids
    x = tok(" " + r["answer"].strip(), add_special_tokens=False).input_ids + [tok.eos_token_id]
    return (q + x)[:max_length], ([-100] * len(q) + x)[:max_length]


def train(name, start, a):
    model = AutoModelForCausalLM.from_pretrained(start, dtype=torch.float32, attn_implementation="eager")
    decays = set(Trainer.get_decay_parameter_names(None, model))
    params = dict(model.named_parameters())
    before = {n: w.detach().clone() for n, w in params.items()}
    opt = torch.optim.AdamW([{"params": [w for n, w in params.items() if n in decays], "weight_decay": a["weight_decay"]},
                             {"params": [w for n, w in params.items() if n not in decays], "weight_decay": 0.0}], lr=a["lr"])
    warm = math.ceil(a["steps"] * a["warmup_ratio"])
    trace = {"options": a, "steps": []}
    model.train()
    for step in range(a["steps"]):
        lr = a["lr"] * ((step / max(1, warm)) if step < warm else 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, a["steps"] - warm))))
        for g in opt.param_groups: g["lr"] = lr
        micro = [[encode(r, a["max_length"]) for r in data[(step * a["accum"] + i) * a["batch"]:][:a["batch"]]] for i in range(a["accum"])]
        items = sum(sum(y != -100 for y in lab[1:]) for mb in micro for _, lab in mb)
        total = 0.0
        for mb in micro:
            n = max(len(i) for i, _ in mb)
            ids = torch.tensor([i + [tok.pad_token_id] * (n - len(i)) for i, _ in mb])
            lab = torch.tensor([y + [-100] * (n - len(y)) for _, y in mb])
            att = torch.tensor([[1] * len(i) + [0] * (n - len(i)) for i, _ in mb])
            logits = model(input_ids=ids, attention_mask=att).logits
            loss = torch.nn.functional.cross_entropy(logits[:, :-1].reshape(-1, logits.shape[-1]), lab[:, 1:].reshape(-1),
                                                     ignore_index=-100, reduction="sum") / items
            loss.backward(); total += loss.item()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), a["max_grad_norm"]).item()
        opt.step(); opt.zero_grad()
        trace["steps"].append({"loss": total, "grad_norm": norm, "learning_rate": lr, "tokens": items})
        print(name, step, round(total, 6), round(norm, 6), lr)
    out = os.path.join(here, name); os.makedirs(out, exist_ok=True)
    save_file({n: (w.detach() - before[n]).half() for n, w in params.items()}, os.path.join(out, "update.safetensors"))
    json.dump(trace, open(os.path.join(out, "trace.json"), "w"), indent=1)


options = dict(steps=5, batch=3, accum=2, lr=5e-3, warmup_ratio=0.2, weight_decay=0.5, max_grad_norm=1.0, max_length=80)
make_tied()
train("llama", os.path.join(peft, "model"), options)
train("llama-tied", os.path.join(here, "llama-tied", "model"), options | dict(batch=4, accum=1, steps=6, lr=3e-3, weight_decay=0.1, max_grad_norm=0.5))
train("gpt2", os.path.join(peft, "gpt2", "model"), options | dict(steps=4, accum=1))
