#!/usr/bin/env python3
"""Make cases.json: rows, and the ids, labels and loss that transformers 5.18 gives on them.   usage: make.py   (torch, transformers)

The model is ../peft/model; a case may change its chat template, its end token, and what its tokenizer puts around a text.
"""
import copy, json, os, shutil, tempfile, torch
from transformers import AutoModelForCausalLM, AutoTokenizer

os.chdir(os.path.dirname(os.path.abspath(__file__)))
BASE = "../peft/model"
model = AutoModelForCausalLM.from_pretrained(BASE, dtype=torch.float32).eval()
CHATML = open(BASE + "/chat_template.jinja").read()
MARKED = ("{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' }}{% if m.role == 'assistant' %}{% generation %}"
          "{{ m['content'] + '<|im_end|>' }}{% endgeneration %}{% else %}{{ m['content'] + '<|im_end|>' }}{% endif %}{{ '\n' }}{% endfor %}"
          "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}")
TOOLS = ("{% if tools %}<|im_start|>system\n{% for t in tools %}{{ t | tojson }}{% endfor %}<|im_end|>\n{% endif %}{% for m in messages %}"
         "<|im_start|>{{ m.role }}{% if m.name %} {{ m.name }}{% endif %}{% if m.tool_call_id %} {{ m.tool_call_id }}{% endif %}{{ '\n' }}"
         "{% if m.reasoning_content %}<think>{{ m.reasoning_content }}</think>{% endif %}{% if m.content is not none %}{{ m.content }}{% endif %}"
         "{% for c in m.tool_calls or [] %}<call>{{ c.function | tojson }}</call>{% endfor %}<|im_end|>\n{% endfor %}"
         "{% if add_generation_prompt %}<|im_start|>assistant\n{% if enable_thinking is defined and not enable_thinking %}<think></think>{% endif %}{% endif %}")
# As templates of reasoning models do: a thought is opened in the prompt, and not written where an answer has none.
THOUGHT = ("{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
           "{% if add_generation_prompt %}<|im_start|>assistant\n<think>\n{% endif %}")
Q, A = "How many shells does Ada have?", "Ada has 22 shells."
USER, ASSISTANT = {"role": "user", "content": Q}, {"role": "assistant", "content": A}
TOOL = {"type": "function", "function": {"name": "count", "parameters": {}}}
CALL = {"role": "assistant", "content": None, "reasoning_content": "Count them.", "tool_calls": [{"type": "function", "function": {"name": "count", "arguments": {"of": "shells"}}}]}
RESULT = {"role": "tool", "name": "count", "tool_call_id": "c1", "content": "22"}
cases = []


def tokenizer(template, special):
    with tempfile.TemporaryDirectory() as d:
        shutil.copytree(BASE, d, dirs_exist_ok=True)
        open(d + "/chat_template.jinja", "w").write(template)
        j = json.load(open(d + "/tokenizer.json"))
        if special: j["post_processor"] = processor(special)
        json.dump(j, open(d + "/tokenizer.json", "w"))
        return AutoTokenizer.from_pretrained(d)


def processor(special):
    """What puts tokens around every text: "bos" or "bos eos"."""
    bos, eos, a, b = [{"SpecialToken": {"id": t, "type_id": 0}} for t in ("<|endoftext|>", "<|im_end|>")] + [{"Sequence": {"id": s, "type_id": i}} for i, s in enumerate("AB")]
    return {"type": "TemplateProcessing", "single": [bos, a] + [eos] * ("eos" in special), "pair": [a, b],
            "special_tokens": {t: {"id": t, "ids": [i], "tokens": [t]} for t, i in (("<|endoftext|>", 0), ("<|im_end|>", 2))}}


def case(name, row, ids, labels, options={}, template=CHATML, special="", eos=2):
    with torch.no_grad(): loss = model(input_ids=torch.tensor([ids]), labels=torch.tensor([labels])).loss.item()
    cases.append(dict(name=name, row=row, options=options, template=template, post_processor=processor(special) if special else None,
                      eos_token_id=eos, ids=ids, labels=labels, loss=loss))


def pair(name, row, prompt, completion, special="", end=[2], **more):
    """Plain text: the prompt with the tokenizer's own special tokens, but for an end behind it; the completion without."""
    t = tokenizer(CHATML, special)
    p, c = t(prompt).input_ids, t(completion, add_special_tokens=False).input_ids + end
    if "eos" in special: assert p.pop() == 2
    case(name, row, p + c, [-100] * len(p) + c, special=special, **more)


def chat(name, row, prompt, completion, template=CHATML, special="", options={}, tools=None, kwargs={}, at=None, **more):
    """A conversation: what transformers renders, special tokens in the text; the last turn to its end token."""
    t = tokenizer(template, special)
    render = lambda m, g: t.apply_chat_template(m, tools=tools, add_generation_prompt=g, tokenize=False, **kwargs)
    p, w = render(prompt, True), render(prompt + completion, False)
    if at: p = w[:w.index(at)]
    assert w.startswith(p)
    ids = [t(s, add_special_tokens=False).input_ids for s in (p, w[len(p):].rstrip())]
    if not at: assert ids[0] == t.apply_chat_template(prompt, tools=tools, add_generation_prompt=True, return_dict=True, **kwargs)["input_ids"]
    case(name, row, ids[0] + ids[1], [-100] * len(ids[0]) + ids[1], {"apply_chat_template": True, **options}, template, special, **more)


for special in "", "bos", "bos eos":
    pair("question_answer " + special, {"question": Q, "answer": A}, "Question: " + Q + "\nAnswer:", " " + A, special)
pair("prompt_completion bos", {"prompt": "Say:\n", "completion": A}, "Say:\n", A, "bos")
pair("prompt with its own bos", {"prompt": "<|endoftext|>Say:", "completion": " " + A + "<|im_end|>"}, "Say:", " " + A, "bos")
pair("end token of the tokenizer, not of the model", {"question": Q, "answer": A}, "Question: " + Q + "\nAnswer:", " " + A, eos=0)
t = tokenizer(CHATML, "bos")
ids = t(A).input_ids + [2]
case("text", {"text": A}, ids, ids, special="bos")
alpaca = "Below is an instruction that describes a task%s. Write a response that appropriately completes the request.\n\n### Instruction:\nCount."
pair("alpaca", {"instruction": "Count.", "input": "", "output": A}, alpaca % "" + "\n\n### Response:", A)
pair("alpaca with input", {"instruction": "Count.", "input": Q, "output": A},
     alpaca % ", paired with an input that provides further context" + "\n\n### Input:\n" + Q + "\n\n### Response:", A)
chat("alpaca in a chat", {"instruction": "Count.", "input": Q, "output": A}, [{"role": "user", "content": "Count.\n" + Q}], [ASSISTANT])
chat("question_answer in a chat", {"question": Q, "answer": A}, [USER], [ASSISTANT])
chat("a template that writes the bos", {"messages": [USER, ASSISTANT]}, [USER], [ASSISTANT], "{{ bos_token }}" + CHATML, "bos")
chat("end of turn is not the model's end token", {"messages": [USER, ASSISTANT]}, [USER], [ASSISTANT], eos=0)
chat("parts", {"messages": [{"role": "user", "content": [{"type": "text", "text": "How many "}, {"type": "text", "text": "shells?"}]}, ASSISTANT]},
     [{"role": "user", "content": "How many shells?"}], [ASSISTANT])
chat("sharegpt", {"system": "Be short.", "conversations": [{"from": "human", "value": Q}, {"from": "gpt", "value": A}]},
     [{"role": "system", "content": "Be short."}, USER], [ASSISTANT])
chat("conversational prompt and completion", {"prompt": [USER], "completion": [ASSISTANT]}, [USER], [ASSISTANT])
chat("tools", {"messages": [USER, CALL, RESULT, ASSISTANT], "tools": [TOOL], "chat_template_kwargs": {"enable_thinking": False}},
     [USER, CALL, RESULT], [{**ASSISTANT, "content": "<think></think>" + A}], TOOLS, tools=[TOOL], kwargs={"enable_thinking": False})
cases[-1]["row"]["messages"][3] = {**ASSISTANT, "content": "<think></think>" + A}
chat("a tool call is the answer", {"messages": [USER, CALL], "tools": json.dumps([TOOL])}, [USER], [CALL], TOOLS, tools=[TOOL])
chat("variables of the job", {"messages": [USER, {**ASSISTANT, "content": "<think></think>" + A}]}, [USER], [{**ASSISTANT, "content": "<think></think>" + A}],
     TOOLS, kwargs={"enable_thinking": False}, options={"chat_template_kwargs": {"enable_thinking": False}})
chat("a thought that the answer has not", {"messages": [USER, {**ASSISTANT, "content": "<b>22</b>"}]}, [USER], [{**ASSISTANT, "content": "<b>22</b>"}], THOUGHT, at="<b>")

many = [USER, {**ASSISTANT, "content": "Twenty 🐚🐚 two."}, {**USER, "content": "Sure? 🙂"}, ASSISTANT]
t = tokenizer(MARKED, "")
out = t.apply_chat_template(many, return_dict=True, return_assistant_tokens_mask=True)
ids, mask = out["input_ids"], out["assistant_masks"]
case("assistant_only_loss", {"messages": many}, ids, [i if m else -100 for i, m in zip(ids, mask)], {"apply_chat_template": True, "assistant_only_loss": True}, MARKED)
turn = ids.index(2, ids.index(2) + 1)      # the end of the first answer
first = [i if m and n <= turn else -100 for n, (i, m) in enumerate(zip(ids, mask))]
weighted = copy.deepcopy(many); weighted[1]["weight"] = 1; weighted[3]["weight"] = 0
case("weights", {"messages": weighted}, ids, first, {"apply_chat_template": True}, CHATML)
case("weights and marks", {"messages": weighted}, ids, first, {"apply_chat_template": True}, MARKED)
open("cases.json", "w").write("[" + ",\n".join(json.dumps(c, ensure_ascii=False) for c in cases) + "]\n")
for c in cases: print(c["name"], len(c["ids"]), sum(l != -100 for l in c["labels"]), c["loss"])
