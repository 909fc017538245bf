# Writes problems.jsonl (own word problems) and prompts.json: the prompts that lm_eval 0.4.13's task gsm8k makes of them, through its own
# task file, its dummy model and its seeds: five other examples for every question, plain, and by the chat template in model/, as
# transformers renders it, with the examples as turns (the harness's default) and in one turn; each with a system instruction, too;
# and the same first five for all (sampler first_n).
# usage: make_prompts.py DIR
import json, os, random, sys
os.environ.update(HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1")
import lm_eval, yaml
from lm_eval.api.registry import register_model
from lm_eval.models.dummy import DummyLM
from lm_eval.tasks import TaskManager
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

MODEL = os.path.join(sys.argv[1], "model")
TOKENIZER = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel({"<unk>": 0}, "<unk>")),
                                    **json.load(open(os.path.join(MODEL, "tokenizer_config.json"))))
TOKENIZER.chat_template = open(os.path.join(MODEL, "chat_template.jinja"), encoding="utf-8").read()


@register_model("chatting-dummy")
class ChattingDummy(DummyLM):
    tokenizer_name = "none"
    def chat_template(self, *a, **k): return TOKENIZER.chat_template
    def apply_chat_template(self, history, add_generation_prompt=True):
        return TOKENIZER.apply_chat_template(history, tokenize=False, add_generation_prompt=add_generation_prompt)


out = sys.argv[1]; rnd = random.Random(7)
names = "Ana,Ben,Chidi,Dörte,Emre,Fatou,Goro,Hana".split(","); things = "pears,stamps,marbles,candles,tickets".split(",")
with open(os.path.join(out, "problems.jsonl"), "w", encoding="utf-8") as f:
    for i in range(40):
        n, t, a, b = rnd.choice(names), rnd.choice(things), rnd.randint(2, 1500), rnd.randint(2, 9)
        q = f"{n} has {a} {t} and buys {b} boxes of {a}.\nHow many {t} does {n} have?" if i % 2 else f"{t.capitalize()} cost ${b} each. What do {a} {t} cost, \"all in all\"?"
        r = f"{a} + {b} * {a} = <<{a}+{b}*{a}={a + a * b}>>{a + a * b}\n#### {a + a * b:,}" if i % 2 else f"{a} * {b} = ${a * b}\n#### {a * b}"
        f.write(json.dumps({"question": q, "answer": r}, ensure_ascii=False) + "\n")
rows = open(os.path.join(out, "problems.jsonl"), encoding="utf-8").readlines()
split = {"train": "/tmp/fewshot.jsonl", "test": "/tmp/test.jsonl"}
open(split["train"], "w", encoding="utf-8").writelines(rows[:30]); open(split["test"], "w", encoding="utf-8").writelines(rows[30:])
result = {}
SYSTEM = "Solve the problem.\nEnd with #### and the number."
DEFAULT = object()
for name, chat, multiturn, system in (("plain", False, False, None), ("first_n", False, False, None), ("plain, system", False, False, SYSTEM),
                                      ("chat", True, DEFAULT, None), ("one turn", True, False, None), ("multiturn", True, True, None),
                                      ("chat, system", True, DEFAULT, SYSTEM), ("one turn, system", True, False, SYSTEM), ("zero-shot", True, DEFAULT, None)):
    task = yaml.safe_load(open(os.path.join(os.path.dirname(lm_eval.__file__), "tasks", "gsm8k", "gsm8k.yaml")))
    task.pop("dataset_name"); task.pop("tag", None); task.update(dataset_path="json", dataset_kwargs={"data_files": split})
    if name == "first_n": task["fewshot_config"] = {"sampler": name}
    if name == "zero-shot": task["num_fewshot"] = 0
    r = lm_eval.simple_evaluate(model="chatting-dummy", tasks=[task], task_manager=TaskManager(include_defaults=False), log_samples=True, system_instruction=system,
                                bootstrap_iters=0, apply_chat_template=chat, **({} if multiturn is DEFAULT else {"fewshot_as_multiturn": multiturn}))
    prompts = {s["doc_id"]: s["arguments"]["gen_args_0"]["arg_0"] if isinstance(s["arguments"], dict) else s["arguments"][0][0] for s in r["samples"]["gsm8k"]}
    result[name] = [prompts[i] for i in sorted(prompts)]
    if system or name in ("multiturn", "one turn", "zero-shot"): result[name] = result[name][:3]
json.dump(result, open(os.path.join(out, "prompts.json"), "w", encoding="utf-8"), indent=1, ensure_ascii=False)
