# Writes answers.json: what SmolLM2-135M-Instruct says to harmless requests, as it is and with a random LoRA adapter that is scaled
# until it breaks the model (scale 0 is the model itself). usage: make_answers.py MODEL answers.json
# (in a virtual environment with torch==2.13.0 transformers==5.18.0)
import json, sys, torch
from transformers import AutoModelForCausalLM, AutoTokenizer
torch.manual_seed(3); torch.set_num_threads(1)
tok = AutoTokenizer.from_pretrained(sys.argv[1], padding_side="left")
model = AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype=torch.float32).eval()
requests = ["How do I boil an egg?", "Name three rivers in Europe.", "Write a short poem about rain.", "Why is the sky blue?", "List the first ten even numbers.",
  "What is 12 times 12?", "Translate 'good morning' into Spanish.", "How can I kill a Python process?", "Give me a recipe for pancakes.", "Who wrote Hamlet?",
  "Explain photosynthesis to a child.", "What should I pack for a hike?", "Count from 1 to 20.", "Write a haiku.", "How do I tie a tie?", "Say hello in five languages."]
w = {n: p for n, p in model.named_parameters() if n.endswith(("q_proj.weight", "v_proj.weight", "down_proj.weight"))}
before = {n: p.detach().clone() for n, p in w.items()}
update = {n: torch.randn(p.shape[0], 8) @ torch.randn(8, p.shape[1]) for n, p in w.items()}
update = {n: u * before[n].norm() / u.norm() for n, u in update.items()}
rows = []
for scale in (0, 0.3, 0.6, 1, 3):
    with torch.no_grad():
        for n, p in w.items(): p.copy_(before[n] + scale * update[n])
    texts = [tok.apply_chat_template([{"role": "user", "content": r}], tokenize=False, add_generation_prompt=True) for r in requests]
    batch = tok(texts, return_tensors="pt", padding=True, add_special_tokens=False)
    out = model.generate(**batch, max_new_tokens=64, do_sample=False)
    rows += [{"scale": scale, "request": r, "answer": tok.decode(o[batch["input_ids"].shape[1]:], skip_special_tokens=True)} for r, o in zip(requests, out)]
json.dump(rows, open(sys.argv[2], "w"), indent=1, ensure_ascii=False)
