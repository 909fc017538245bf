# Writes choices.json: what lm_eval 0.4.13 makes of a task of multiple choice on the tiny model of common/causal-lm's tests. usage:
# make_choices.py (in a virtual environment with lm_eval==0.4.13 torch==2.13.0 transformers==5.18.0)
import json, os, shutil, tempfile
os.environ.update(HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1", TOKENIZERS_PARALLELISM="false")
import torch; torch.set_num_threads(1)
import lm_eval, yaml
from lm_eval.tasks import TaskManager
here = os.path.dirname(os.path.abspath(__file__))
models = os.path.join(here, "../../../../../causal-lm/src/test/resources/models")
folder = tempfile.mkdtemp()
for part in ("llama", "tokenizer"):
    for name in os.listdir(os.path.join(models, part)): shutil.copy(os.path.join(models, part, name), folder)
out = {}
for chat in (False, True):
    for shots in (0, 2):
        task = yaml.safe_load(open(os.path.join(here, "choices.yaml")))
        task.update(num_fewshot=shots, dataset_path="json", training_split="train", fewshot_split="train", test_split="test",
                    dataset_kwargs={"data_files": {s: os.path.join(here, "choices.jsonl") for s in ("train", "test")}}, fewshot_config={"sampler": "first_n"})
        r = lm_eval.simple_evaluate(model="hf", model_args=f"pretrained={folder},dtype=float32", tasks=[task], batch_size=1, device="cpu",
            apply_chat_template=chat, task_manager=TaskManager(include_defaults=False), log_samples=True, bootstrap_iters=0)
        samples = sorted(r["samples"]["choices"], key=lambda s: s["doc_id"])
        out[f"{'chat' if chat else 'plain'}, {shots}"] = {"acc": r["results"]["choices"]["acc,none"], "acc_norm": r["results"]["choices"]["acc_norm,none"],
            "rows": [{"logprobs": [x[0][0] for x in s["resps"]], "acc": s["acc"], "acc_norm": s["acc_norm"]} for s in samples]}
json.dump(out, open(os.path.join(here, "choices.json"), "w"), indent=1)
print({k: (v["acc"], v["acc_norm"]) for k, v in out.items()})
