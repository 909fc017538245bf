# Writes what lm_eval 0.4.13, Python's re and rouge_score 0.1.2 make of texts: numbers.json, regex.json, exact_match.json, rouge.json,
# templates.json beside it. usage: make_references.py (in a virtual environment with lm_eval==0.4.13 rouge_score==0.1.2)
import json, os, re, random
import lm_eval, yaml
from lm_eval.api.metrics import exact_match_hf_evaluate
import lm_eval.filters.extraction, lm_eval.filters.selection
from lm_eval.api.registry import get_filter
from lm_eval.utils import apply_template
from rouge_score.rouge_scorer import RougeScorer

here = os.path.dirname(os.path.abspath(__file__))
def write(name, rows): json.dump(rows, open(os.path.join(here, name), "w"), indent=1, ensure_ascii=False)

# Numbers as people write them, through the harness's own task files.
texts = ["The answer is {n}.", "The answer is {n}", "#### {n}", "So it is {n} in all.\n#### {n}\n", "It costs {n} and {n}. The answer is {n}!", "= **{n}**", "\\boxed{{{n}}}", "{n}", "first 7, then {n}, not 9"]
numbers = ["5", "-5", "\u22125", "- 5", "+5", "$5", "-$5", "$-5", "5$", "US$ 5", "\u20ac5", "5 \u20ac", "\u00a35.00", "\u00a5500", "5\u00a2", "1,234", "1,234.50", "1.234,50", "12 000", "1_000", "1,23,456", "$1,000,000", "0.5", ".5", "5.", "5.0", "-0.25", "1/2", "3 1/2", "\u00bd", "50%", "50 %", "5 km", "5km", "2.5kg", "3:45", "10^3", "1e3", "2x", "(5)", "'5'", "5th", "five", "5-7", "5\u20137", "007", "1.2.3", "\uff15", "\u0665", "5,", ",5", "5...", "$", "-", "5\u00a0000"]
rows = []
for task in ("gsm8k.yaml", "gsm8k-cot-zeroshot.yaml"):
    t = yaml.safe_load(open(os.path.join(os.path.dirname(lm_eval.__file__), "tasks", "gsm8k", task)))
    options = {k: v for k, v in t["metric_list"][0].items() if k not in ("metric", "aggregation", "higher_is_better")}
    for n in numbers:
        for text in texts:
            response, row = text.format(n=n), {"task": t["task"], "response": text.format(n=n), "target": "so\n#### " + n}
            for f in t["filter_list"]:
                steps = [dict(s) for s in f["filter"]]
                resps = [[response]]
                for s in steps: resps = list(get_filter(s.pop("function"))(**s).apply(resps, [{}]))
                row[f["name"]] = [resps[0], bool(exact_match_hf_evaluate([resps[0]], [row["target"]], **options)["exact_match"])]
            rows.append(row)
write("numbers.json", rows)

# Expressions that Java reads otherwise.
patterns = [r"(-?[$0-9.,]{2,})|(-?[0-9]+)", r"\.$", r"(?s).*#### ", r"a.c", r"[[]x[]]", r"[]a]+", r"[^]a]+", r"[a&&b]+", r"(?P<word>\w+) (?P<n>\d+)", r"\w+\Z", r"^b", r"(?m)^b$", r"(?i)STRASSE|\u00e9", r"\s+", r"\d+", r"(a)|(b)|c", r"(a)(b)?", r"x*", r"\bthe\b", r"[\w-]+", r"\\", r"[.\n]", r"(?:ab)+?", r"[^\d\s]+", "\u20ac ?\\d", r"\$", r"answer is \(?([A-D])\)?"]
samples = ["", "a\nc abc a\u2028c a\rc", "5.", "5.\n", "5.\r\n", "5.\u2028", "x\n#### 7 #### 8", "[x] ]a&&b", "word 12 w\u00f6rter \u0665", "b\nb\n", "the \u00c9t\u00e9 Stra\u00dfe STRASSE", "a\u00a0b\u3000c\x85d\u2003e", "abab cab", "\\ $5 \u20ac 5 \u20ac5", "The answer is (B). answer is C", "xx y x"]
write("regex.json", [{"pattern": p, "text": t, "findall": [list(m) if isinstance(m, tuple) else [m] for m in re.findall(p, t)], "cut": re.sub(p, "", t)} for p in patterns for t in samples])

pairs = [("The Answer!", "the answer"), ("A-1", "a2"), ("x.", "x"), ("1,000", "1000"), ("Gr\u00fc\u00dfe", "GR\u00dc\u00dfE"), ("a b", "ab"), ("", ""), ("#### 5.\n", "5"), ("\u201cx\u201d", "x"), ("_x_", "x")]
write("exact_match.json", [{"answer": a, "target": b, "options": o, "match": bool(exact_match_hf_evaluate([a], [b], **o)["exact_match"])} for a, b in pairs for o in
  [{}, {"ignore_case": True}, {"ignore_punctuation": True}, {"ignore_numbers": True}, {"ignore_case": True, "ignore_punctuation": True, "ignore_numbers": True}, {"regexes_to_ignore": [",", "(?s).*#### ", "\\.$"]}]])

scorer, rnd = RougeScorer(["rouge1", "rouge2", "rougeL"]), random.Random(7)
words = "the a cat sat on mat, dog ran. It's 12 don't caf\u00e9 \u732b big-small The".split()
texts = ["", "a", "The cat sat on the mat.", "the mat sat on the cat", "\u732b\u304c", "caf\u00e9 caf\u00e9"] + [" ".join(rnd.choices(words, k=rnd.randint(1, 25))) for _ in range(24)]
write("rouge.json", [{"answer": a, "target": b, **{k: v.fmeasure for k, v in scorer.score(b, a).items()}} for a in texts[:15] for b in texts])

docs = [{"question": "1 + 1?\n", "answer": "two\n#### 2", "choices": {"text": ["a", "b\"c", "d"], "label": ["A", "B", "C"]}, "answerKey": "B", "n": 3, "flag": True, "none": None, "list": ["x", "y"]}]
templates = ["{{question}}", "Q: {{question}}\nA:", "{{answer.split('####')[-1].strip() if answer is defined else target}}", "{{target if target is defined else answer}}", "{{missing}}", "{{choices.label.index(answerKey)}}", "{{choices.text}}", "{{n + 1}} {{flag}}", "{% if flag %}\nyes\n{% endif %}\n", "  {% for x in list %}\n  - {{x}}\n{% endfor %}end\n", "{{ list | join(', ') }}\n\n", "{{choices.missing}}", "{% if missing %}a{% endif %}", "{{missing == 1}}", "{{missing | default('x')}}", "{{missing.attribute}}", "{{ 'a' if flag }}", "{{question|trim}} {{answer[:3]}}", "{%- if flag -%} x {%- endif -%} y", "{{question.replace('+', '-')}}", "{# note #}x\n"]
def render(t, d):
    try: return apply_template(t, {k: v for k, v in d.items() if v is not None})
    except Exception as e: return None
write("templates.json", [{"template": t, "doc": d, "text": render(t, d)} for t in templates for d in docs])
