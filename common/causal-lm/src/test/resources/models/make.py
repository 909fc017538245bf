#!/usr/bin/env python3
"""Make the model fixtures: tiny random checkpoints, one per family and per option that changes what a layer computes, each with what
transformers (made with 5.18, float32 on the CPU) computes on it.

usage: make.py ORACLE OUT [--seed N]        ORACLE: the folder of make_models.py, whose tokenizer and expectations these are, only smaller

The tokenizer is trained on this project's own word problems and lies in OUT/tokenizer, for all models.
"""
import argparse, json, os, shutil, sys
import torch
from transformers import (AutoModelForCausalLM, LlamaConfig, MistralConfig, Qwen2Config, Qwen3Config, GPT2Config, GPTNeoXConfig,
                          Phi3Config, GemmaConfig, Gemma2Config)

p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
p.add_argument("oracle"); p.add_argument("out"); p.add_argument("--seed", type=int, default=1); p.add_argument("--max-new-tokens", type=int, default=16)
a = p.parse_args()
sys.path.insert(0, a.oracle)
from make_models import tokenizer
torch.set_num_threads(1)

here = os.path.dirname(os.path.abspath(__file__))
root = os.path.join(here, *[".."] * 6)
rows = [json.loads(l) for l in open(os.path.join(root, "standalone/src/main/resources/demo/data/problems.jsonl"), encoding="utf-8")]
tok = tokenizer([r["question"] + "\n" + r["answer"] for r in rows], 320)
prompts = ["Question: " + rows[3]["question"] + "\nAnswer:", "Mara sells 7 lamps a day", "é ∑ 42"]

v = dict(vocab_size=320, bos_token_id=0, eos_token_id=2)
c = dict(hidden_size=16, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, intermediate_size=24, max_position_embeddings=512,
         pad_token_id=0, **v)
rope = lambda **k: {"rope_parameters": {"rope_theta": 10000.0, **k}}
models = {
    "llama": LlamaConfig(**c),
    "llama-mha-tied": LlamaConfig(**{**c, "num_key_value_heads": 4, "tie_word_embeddings": True, "rms_norm_eps": 1e-5}),
    "llama-biases": LlamaConfig(**{**c, "attention_bias": True, "mlp_bias": True, "head_dim": 6, "hidden_act": "gelu"}),
    "llama3-rope": LlamaConfig(**c, **rope(rope_type="llama3", rope_theta=500000.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
                                           original_max_position_embeddings=64)),
    "llama-linear": LlamaConfig(**c, **rope(rope_type="linear", factor=3.0)),
    "llama-dynamic": LlamaConfig(**{**c, "max_position_embeddings": 24, "head_dim": 8}, **rope(rope_type="dynamic", factor=8.0)),
    "llama-yarn": LlamaConfig(**{**c, "head_dim": 16}, **rope(rope_type="yarn", factor=4.0, original_max_position_embeddings=128, beta_fast=16.0)),
    "llama-yarn-mscale": LlamaConfig(**{**c, "head_dim": 16}, **rope(rope_type="yarn", factor=4.0, original_max_position_embeddings=128, mscale=1.0,
                                                                   mscale_all_dim=0.7, truncate=False)),
    "mistral": MistralConfig(**{**c, "sliding_window": 8}),
    "qwen2": Qwen2Config(**{**c, "tie_word_embeddings": True}),
    "qwen2-windows": Qwen2Config(**{**c, "num_hidden_layers": 3, "use_sliding_window": True, "sliding_window": 8, "max_window_layers": 1}),
    "qwen3": Qwen3Config(**{**c, "head_dim": 6}),
    "phi3": Phi3Config(**{**c, "head_dim": 8}, **rope(rope_type="default", partial_rotary_factor=0.5)),
    "gemma": GemmaConfig(**{**c, "head_dim": 8, "num_key_value_heads": 1}),
    "gemma2": Gemma2Config(**{**c, "head_dim": 8, "sliding_window": 8, "query_pre_attn_scalar": 12, "attn_logit_softcapping": 5.0}),
    "gpt2": GPT2Config(**v, n_positions=128, n_embd=16, n_layer=2, n_head=4, n_inner=40),
    "gpt-neox": GPTNeoXConfig(**v, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, max_position_embeddings=512,
                              rotary_pct=0.25),
    "gpt-neox-sequential": GPTNeoXConfig(**v, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
                                         max_position_embeddings=512, rotary_pct=1.0, use_parallel_residual=False, hidden_act="gelu_new"),
}
tok.save_pretrained(os.path.join(a.out, "tokenizer"))
for name, config in models.items():
    torch.manual_seed(a.seed + sum(map(ord, name)))
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").float().eval()
    with torch.no_grad():  # far from the initialisation, where norms are one and biases zero
        for n, w in model.named_parameters():
            w.normal_(0, 0.25) if w.dim() > 1 else w.add_(torch.randn_like(w) * 0.1)
    d = os.path.join(a.out, name)
    model.save_pretrained(d)
    model = AutoModelForCausalLM.from_pretrained(d, dtype=torch.float32, attn_implementation="eager").eval()
    expected = {"seed": a.seed, "prompts": []}
    for text in prompts:
        ids = tok(text, return_tensors="pt").input_ids
        with torch.no_grad():
            out = model(input_ids=ids, labels=ids)
            logprobs = torch.log_softmax(out.logits[0, :-1].double(), -1).gather(1, ids[0, 1:, None])[:, 0]
            greedy = model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=a.max_new_tokens, do_sample=False)
        expected.setdefault("loss", out.loss.item())
        expected["prompts"].append({"text": text, "ids": ids[0].tolist(), "max_new_tokens": a.max_new_tokens,
                                    "logits_last": [round(x, 6) for x in out.logits[0, -1].tolist()],
                                    "logprobs": [round(x, 6) for x in logprobs.tolist()], "greedy": greedy[0, ids.shape[1]:].tolist()})
    expected["chat"] = tok.apply_chat_template([{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yes."},
                                                {"role": "user", "content": "2+2?"}], tokenize=False, add_generation_prompt=True)
    json.dump(expected, open(os.path.join(d, "expected.json"), "w"))
    print(name, sum(w.numel() for w in model.parameters()), "parameters, loss", round(expected["loss"], 4))
