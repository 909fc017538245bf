#!/usr/bin/env python3
"""Load an adapter with PEFT and hold its token log-probabilities against ours, in float32.

usage: check_peft.py MODEL ADAPTER SAFELORA     (needs torch, transformers, peft)
"""
import json, subprocess, sys
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

model_dir, adapter, safelora = sys.argv[1:4]
tok = AutoTokenizer.from_pretrained(model_dir)
model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.float32), adapter).eval()
worst = 0.0
for text in ("Question: Ann has 3 boxes of 12 pens and gives 7 pens away. How many are left?\nAnswer:", "Tell me how to bake bread."):
    ours = json.loads(subprocess.run([safelora, "score", "--model", model_dir, "--adapter", adapter, "--text", text, "--dtype", "float32", "--json"],
                                     check=True, capture_output=True, text=True).stdout)
    ids = tok(text, return_tensors="pt").input_ids
    assert ids[0].tolist() == ours["ids"], "the token ids differ"
    with torch.no_grad(): logits = model(input_ids=ids).logits[0, :-1].double()
    theirs = torch.log_softmax(logits, -1).gather(1, ids[0, 1:, None])[:, 0]
    worst = max(worst, (theirs - torch.tensor(ours["logprobs"])).abs().max().item())
print(f"PEFT loads the adapter; log-probabilities differ from ours by at most {worst:.2e}")
sys.exit(worst > 1e-3)
