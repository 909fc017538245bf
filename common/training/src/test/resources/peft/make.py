#!/usr/bin/env python3
"""Make the fixtures of this folder by the project's reference scripts (../shared/oracle).

usage: make.py ORACLE_DIR        (torch, transformers, peft; seconds)
"""
import json, os, random, subprocess, sys, torch
oracle, here = os.path.abspath(sys.argv[1]), os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, oracle)
from make_models import tokenizer
from transformers import AutoModelForCausalLM, AutoTokenizer, GPT2Config, LlamaConfig, Phi3Config, Qwen2Config

rnd = random.Random(5)
names, things = ["Ada", "Bo", "Chi", "Dov", "Eli", "Fay"], ["pears", "coins", "stamps", "shells", "books", "cups"]
rows = []
for _ in range(48):
    who, what, a, b = rnd.choice(names), rnd.choice(things), rnd.randint(2, 40), rnd.randint(2, 40)
    rows.append({"question": f" {who} has {a} {what} and finds {b} more. How many {what} does {who} have now?",
                 "answer": f"{who} has {a} + {b} = {a + b} {what}.\n#### {a + b} "})
rows[3]["question"] = "Why? " * 12 + rows[3]["question"]      # its answer lies behind max_length in part
with open(os.path.join(here, "rows.jsonl"), "w") as f: f.writelines(json.dumps(r) + "\n" for r in rows)
tok = tokenizer([r["question"] + "\n" + r["answer"] for r in rows], 320)


def write(name, config):
    """A random model in bfloat16; the tokenizer stands in model/ only."""
    torch.manual_seed(3)
    model = AutoModelForCausalLM.from_config(config).float()
    with torch.no_grad():
        for w in model.parameters(): w.normal_(0, 0.12) if w.dim() > 1 else w.add_(torch.randn_like(w) * 0.1)
    model.to(torch.bfloat16).save_pretrained(os.path.join(here, name)); tok.save_pretrained(os.path.join(here, name))


common = dict(vocab_size=320, bos_token_id=0, eos_token_id=2, pad_token_id=0)
small = dict(hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
             max_position_embeddings=256, **common)
write("model", LlamaConfig(**small))
for name, options in {"all-linear": ["--r", "4", "--steps", "6", "--max-length", "80"],
                      "layer1-rslora": ["--r", "2", "--alpha", "3", "--steps", "4", "--batch", "3", "--target", "q_proj,down_proj", "--layers", "1",
                                        "--rslora", "--lr", "5e-3", "--max-grad-norm", "0.1", "--max-length", "80"]}.items():
    out = os.path.join(here, name)
    subprocess.run([sys.executable, os.path.join(oracle, "peft_train.py"), "model", "rows.jsonl", name, *options], cwd=here, check=True)
    for d in ("init", "final"): os.remove(os.path.join(out, d, "README.md"))
os.remove(os.path.join(here, "model", "generation_config.json"))
families = {"qwen2": (Qwen2Config(**small, tie_word_embeddings=True), ["--r", "2", "--target", "q_proj,k_proj,o_proj,gate_proj", "--rslora", "--seed", "5"]),
            "phi3": (Phi3Config(**small), ["--r", "3", "--target", "qkv_proj,down_proj", "--weight-decay", "0.1"]),
            "gpt2": (GPT2Config(n_positions=256, n_embd=32, n_layer=2, n_head=4, resid_pdrop=0, embd_pdrop=0, attn_pdrop=0, **common), ["--r", "2", "--target", "c_attn,c_fc,mlp.c_proj", "--alpha", "5"])}
for name, (config, options) in families.items():
    write(os.path.join(name, "model"), config)    # GPT-2 without its own dropout, which peft_train.py's train() would switch on
    AutoTokenizer.from_pretrained(os.path.join(here, name, "model")).save_pretrained(os.path.join(here, name, "model"))
    out = os.path.join(here, name)
    subprocess.run([sys.executable, os.path.join(oracle, "peft_train.py"), f"{name}/model", "rows.jsonl", name, "--steps", "4", "--batch", "3",
                    "--max-length", "80", *options], cwd=here, check=True)
    for d in ("init", "final"): os.remove(os.path.join(out, d, "README.md"))
    for f in os.listdir(os.path.join(out, "model")):
        if f not in ("config.json", "model.safetensors") and not (f == "tokenizer.json" and name == "qwen2"): os.remove(os.path.join(out, "model", f))
