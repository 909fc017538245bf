#!/usr/bin/env python3
"""Make the adapter fixtures: adapters of the models beside them, one per kind of thing that PEFT's LoRA can hold, each with what PEFT (made with
0.21, transformers 5.18, float32 on the CPU) computes with it, and what three steps of training make of it.

usage: make.py MODELS OUT          MODELS: the folder of the model fixtures
"""
import json, os, shutil, sys
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM

models, out = sys.argv[1:]
torch.set_num_threads(1)
IDS = [5, 90, 17, 300, 1, 41, 8, 2, 7, 7, 120, 33]
QV = ["q_proj", "v_proj"]
adapters = {
    "whole-modules": ("llama", dict(target_modules=QV, modules_to_save=["embed_tokens", "lm_head", "norm"])),
    "whole-mlp": ("gpt2", dict(target_modules=["c_attn"], modules_to_save=["h.1.mlp", "ln_f"])),
    "whole-head-tied": ("llama-mha-tied", dict(target_modules=QV, modules_to_save=["lm_head"])),
    "whole-embedding-tied": ("llama-mha-tied", dict(target_modules=QV, modules_to_save=["embed_tokens"])),
    "head": ("llama", dict(target_modules=QV + ["lm_head"], lora_alpha=3, use_rslora=True)),
    "head-tied": ("llama-mha-tied", dict(target_modules=QV + ["lm_head"])),
    "embedding": ("gemma2", dict(target_modules=QV + ["embed_tokens"])),
    "embeddings-gpt2": ("gpt2", dict(target_modules=["c_attn", "wte", "wpe"], fan_in_fan_out=True)),
    "dora": ("llama-biases", dict(target_modules=["q_proj", "up_proj"], use_dora=True)),
    "dora-gpt2": ("gpt2", dict(target_modules=["c_attn", "c_proj"], use_dora=True, fan_in_fan_out=True)),
    "dora-words": ("llama", dict(target_modules=["q_proj", "embed_tokens", "lm_head"], use_dora=True)),
    "lora-bias": ("llama-biases", dict(target_modules=["q_proj", "up_proj"], lora_bias=True)),
    "lora-bias-of-none": ("llama", dict(target_modules=["q_proj", "up_proj"], lora_bias=True)),
    "bias-all": ("gpt2", dict(target_modules=["c_attn"], bias="all", fan_in_fan_out=True)),
    "bias-lora-only": ("qwen2", dict(target_modules=QV, bias="lora_only")),
    "tokens": ("llama", dict(target_modules=QV, trainable_token_indices=[1, 7, 300])),
    "tokens-tied": ("qwen2", dict(target_modules=QV, trainable_token_indices={"embed_tokens": [1, 7]})),
    "resized": ("llama", dict(target_modules=QV)),
    "mica": ("llama", dict(target_modules=["q_proj"], init_lora_weights="mica")),
    "excluded": ("llama", dict(target_modules=r".*\.(q|v)_proj", exclude_modules=r".*layers\.1\..*")),
}


def model(name, resized):
    m = AutoModelForCausalLM.from_pretrained(os.path.join(models, name), dtype=torch.float32, attn_implementation="eager")
    if resized:
        torch.manual_seed(3)
        m.resize_token_embeddings(m.config.vocab_size + 2, mean_resizing=False)
    return m


def logprobs(m, ids):
    with torch.no_grad():
        l = m(input_ids=torch.tensor([ids])).logits[0, :-1].double()
    return [round(p, 6) for p in torch.log_softmax(l, -1).gather(1, torch.tensor(ids)[1:, None])[:, 0].tolist()]


for name, (base, config) in adapters.items():
    resized = name == "resized"
    path = os.path.join(out, name)
    shutil.rmtree(path, ignore_errors=True)
    torch.manual_seed(sum(map(ord, name)))
    peft = get_peft_model(model(base, resized), LoraConfig(**{"r": 2, "lora_alpha": 4, "task_type": "CAUSAL_LM", **config}))
    with torch.no_grad():  # far from the initialisation, where an update is zero and a whole module the model's own
        for n, w in peft.named_parameters():
            if w.requires_grad or "lora_B" in n:
                w.add_(torch.randn_like(w) * (0.1 if w.dim() > 1 else 0.05))
    peft.save_pretrained(path, save_embedding_layers=True if resized else "auto")
    os.remove(os.path.join(path, "README.md"))
    config = json.load(open(os.path.join(path, "adapter_config.json")))
    config["base_model_name_or_path"] = base
    json.dump(config, open(os.path.join(path, "adapter_config.json"), "w"), indent=1, sort_keys=True)

    ids = IDS + [320, 321] if resized else IDS
    m = PeftModel.from_pretrained(model(base, resized), path, is_trainable=True).eval()
    expected = {"model": base, "ids": ids, "logprobs": logprobs(m, ids), "without": logprobs(model(base, resized).eval(), ids)}
    trained = [(n, w) for n, w in m.named_parameters() if w.requires_grad]
    optimizer = torch.optim.AdamW([w for _, w in trained], lr=0.01, weight_decay=0)
    expected["losses"] = []
    for _ in range(3):
        loss = m(input_ids=torch.tensor([ids]), labels=torch.tensor([ids])).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        expected["losses"].append(round(loss.item(), 6))
    expected["trained"] = logprobs(m, ids)
    expected["parameters"] = sum(w.numel() for _, w in trained)
    json.dump(expected, open(os.path.join(path, "expected.json"), "w"))
    print(name, "changes", max(abs(a - b) for a, b in zip(expected["logprobs"], expected["without"])),
          "training", max(abs(a - b) for a, b in zip(expected["logprobs"], expected["trained"])), [n for n, _ in trained if "lora_A" not in n][:3])
