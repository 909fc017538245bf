#!/usr/bin/env python3
"""LoRA fine-tuning with PEFT and transformers' Trainer, the other side of run.py.

usage: peft_side.py MODEL DATA.jsonl OUT {float32|bfloat16} ROWS LAYERS        LAYERS: comma-separated numbers, or "" for all
       peft_side.py --init MODEL OUT LAYERS         only writes the initial adapter to OUT, so that both sides start from the same

DATA rows are GSM8K's {"question", "answer"}; one pass over the first ROWS in order; writes OUT/trainer_state.json.
"""
import json, sys, time
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer, DataCollatorForSeq2Seq, Trainer, TrainingArguments


def peft(model, layers):
    torch.manual_seed(1)
    return get_peft_model(model, LoraConfig(
        r=8, lora_alpha=16, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM",
        layers_to_transform=[int(n) for n in layers.split(",")] if layers else None))


if sys.argv[1] == "--init":
    peft(AutoModelForCausalLM.from_pretrained(sys.argv[2], dtype=torch.float32), sys.argv[4]).save_pretrained(sys.argv[3])
    sys.exit()
directory, data, out, dtype, rows, layers = sys.argv[1:]
torch.set_num_threads(len(__import__("os").sched_getaffinity(0)))
tok = AutoTokenizer.from_pretrained(directory)
model = peft(AutoModelForCausalLM.from_pretrained(directory, dtype=getattr(torch, dtype)), layers)


def encode(r):
    q = tok(f"Question: {r['question'].strip()}\nAnswer:", add_special_tokens=False).input_ids
    x = tok(" " + r["answer"].strip(), add_special_tokens=False).input_ids + [tok.eos_token_id]
    return {"input_ids": (q + x)[:512], "attention_mask": [1] * len((q + x)[:512]), "labels": ([-100] * len(q) + x)[:512]}


class InOrder(Trainer):
    def _get_train_sampler(self, *a, **k):
        return torch.utils.data.SequentialSampler(self.train_dataset)


with open(data, encoding="utf-8") as f:
    examples = [encode(json.loads(line)) for _, line in zip(range(int(rows)), f)]
args = TrainingArguments(
    output_dir=out, per_device_train_batch_size=4, gradient_accumulation_steps=4, num_train_epochs=1, learning_rate=2e-4,
    lr_scheduler_type="linear", weight_decay=0.0, max_grad_norm=1.0, logging_steps=1, save_strategy="no", report_to=[],
    use_cpu=not torch.cuda.is_available(), bf16=False, dataloader_num_workers=0, disable_tqdm=True, seed=1)
trainer = InOrder(model=model, args=args, train_dataset=examples, data_collator=DataCollatorForSeq2Seq(tok))
began = time.time()
trainer.train()
print("trained for", time.time() - began, "s", file=sys.stderr)
trainer.state.save_to_json(out + "/trainer_state.json")
