# Writes cases.json: templates of our own times conversations, as transformers renders them, or its error.
# With folders of *.jinja files or JSON files [{"name", "chat_template"}] it does the same for others' templates, to be compared by
#   ./mvnw -pl common/causal-lm test -Dtest=ChatTemplateCasesTest -Dchat.templates=OUT.json
# usage: make_cases.py OUT.json [FOLDER_OR_JSON...]        needs transformers (written with 5.18) and jinja2 (3.1.6)
import copy
import json
import pathlib
import sys

from transformers.utils.chat_template_utils import render_jinja_template

TOKENS = {"bos_token": "<s>", "eos_token": "</s>"}


def user(content, **keys):
    return {"role": "user", "content": content, **keys}


def assistant(content, **keys):
    return {"role": "assistant", "content": content, **keys}


def system(content):
    return {"role": "system", "content": content}


def call(name, arguments):
    return {"type": "function", "function": {"name": name, "arguments": arguments}}


TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Gets the weather, \"now\".",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string", "description": "<b>é & 'x'</b>"},
                "unit": {"type": ["string", "null"], "enum": ["celsius", "fahrenheit"], "default": "celsius"},
                "days": {"type": "array", "items": {"type": "integer", "minimum": 1, "maximum": 7.5}},
                "deep": {"type": "object", "properties": {"er": {"type": "boolean", "default": True}}},
            },
            "required": ["city"],
        },
    },
}
CALLS = [call("get_weather", {"city": "Köln", "days": [1, 2], "f": 0.1, "t": True, "n": None, "o": {}})]
CONVERSATIONS = [
    ("one question", [user("Hi")], {}),
    (
        "turns with white space",
        [system(" Be brief. "), user(" 2+2? \n"), assistant("<think>\nhm\n</think>\n\n4"), user("ok | é😀")],
        {},
    ),
    ("data that looks like a template", [user("{{ c }} {% d %}"), assistant("b\n")], {}),
    ("the assistant first", [assistant("b")], {}),
    ("reasoning", [user("a"), assistant("4", reasoning_content="r"), user("b")], {"enable_thinking": False}),
    ("parts", [user([{"type": "text", "text": "one"}, {"type": "image"}])], {}),
    (
        "tools",
        [user("w?"), assistant(None, tool_calls=CALLS), {"role": "tool", "name": "get_weather", "content": "rain"}],
        {"tools": [TOOL]},
    ),
]

# What chat templates are made of, a construct each. They are rendered for one conversation only.
CONSTRUCTS = {
    "white space": "a\n  {% if true %}\n  b\n  {%+ if true +%}\n c {%- endif -%} \n d\n{% endif %}\n  {# c #}\n {#- c -#} e {{- 1 -}} \n {{ 2 }}\n\n",
    "line breaks": "a\r\nb\rc{% if true %}\r\nd{% endif %}\r\n{{ 'x\r\ny' ~ '\\r\\n' }}\r\n",
    "raw": "{% raw %} {{ a }} {% b %} {%- endraw -%}  x {% raw -%}  y{% endraw %}\n z",
    "strings": "{{ 'a\\n\\t\\\\ \\' \\x41 \\u00e9 \\d' \"b\" }}|{{ \"it's\" }}|{{ 'é😀'|length }}|{{ '😀b'[1] }}|{{ '😀b'[::-1] }}",
    "numbers": "{{ [1_000, 0x1f, 0b11, 1.5e3, 1e22, 0.1, 1/3, 2.0, 1e-7, -0.0, 7 // 2, -7 // 2, 7 % 4, -7 % 4, 2**10, 7 / 2] }}",
    "none and bool": "{{ none }} {{ true }} {{ false }} {{ [none, true, 'a\\'b', \"q\\\"'\", 'é\\n'] }} {{ {'a': (1,), 'b': {}} }}",
    "undefined": "[{{ nothing }}][{{ messages[0].nothing }}][{{ nothing is defined }}][{{ nothing or 'x' }}][{% for a in nothing %}x{% endfor %}]",
    "undefined's attribute": "{{ messages[0].nothing.more }}",
    "undefined added": "{{ 'a' + nothing }}",
    "none's attribute": "[{{ none.a }}][{{ (1).b }}][{{ messages[9] }}][{{ 'a'[5] }}]",
    "methods before keys": "{% set d = {'items': 5, 'x': 1} %}{{ d.items is number }} {{ d['items'] }} {{ d.x }} {{ d.get('y', 2) }} {{ d.keys() | list }} {{ d.values() }}",
    "no changes": "{% set l = [] %}[{{ l.append }}]{{ l.append(1) }}",
    "no internals": "[{{ ''.__class__ }}]{{ ''.__class__.__mro__ }}",
    "scopes": "{% set x = 1 %}{% for i in [1, 2] %}{% set x = x + i %}{{ x }} {% endfor %}{{ x }}{% if true %}{% set x = 9 %}{% endif %}{{ x }}",
    "set before it is set": "{% for i in [1] %}[{{ bos_token }}]{% endfor %}{% set bos_token = 'x' %}{{ bos_token }}",
    "namespace": "{% set ns = namespace(a=1, b=messages|length - 1) %}{% for i in [1, 2] %}{% set ns.a = ns.a + i %}{% endfor %}{{ ns.a }} {{ ns.b }} {{ ns }}",
    "not a namespace": "{% set ns = {} %}{% set ns.a = 1 %}",
    "set": "{% set a, b = [1, 2] %}{{ a }}{{ b }}{% set c %}x{{ a }}{% endset %}{{ c }}{% set d | upper | trim %} y {% endset %}{{ d }}",
    "loop": "{% for m in 'abc' %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}[{{ loop.previtem }}{{ loop.nextitem }}]{{ loop.cycle('x', 'y') }}{{ loop.changed(m) }} {% endfor %}",
    "loop else": "{% for a in [] %}x{% else %}none{% endfor %}{% for a in [1] %}x{% else %}none{% endfor %}{% for a in [1] %}{% break %}{% else %}left{% endfor %}",
    "loop if": "{% for k, v in {'a': 1, 'b': 2, 'c': 3}.items() if v != 2 %}{{ loop.index }}{{ k }}{{ v }}{{ loop.last }} {% endfor %}",
    "break and continue": "{% for i in range(9) %}{% if i is even %}{% continue %}{% endif %}{% if i > 5 %}{% break %}{% endif %}{{ i }}{% endfor %}",
    "break in a block": "{% for i in [1] %}{% generation %}{% break %}{% endgeneration %}{% endfor %}",
    "recursive loop": "{% for i in [{'n': 1, 'c': [{'n': 2, 'c': []}]}] recursive %}<{{ i.n }}@{{ loop.depth }}{{ loop(i.c) }}>{% endfor %}",
    "macros": "{% macro f(a, b=a ~ '!', c=none) %}{{ a }}{{ b }}{{ c }}{{ varargs }}{{ kwargs }}{% endmacro %}{{ f(1) }}|{{ f(1, c=3) }}|{{ f(1, 2, 3, 4, d=5) }}|{{ f() }}",
    "macro with too much": "{% macro f(a) %}{{ a }}{% endmacro %}{{ f(1, 2) }}",
    "macros that recurse": "{% macro f(n) %}{{ n }}{% if n > 0 %}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(9) }}",
    "call": "{% macro f(a) %}<{{ caller(a) }}|{{ caller(2) }}>{% endmacro %}{% call(x) f(1) %}{{ x }}{{ bos_token }}{% endcall %}",
    "with and filter": "{% with a = 1, b = 2 %}{{ a + b }}{% endwith %}[{{ a }}]{% filter upper | replace('A', 'b') %}a{{ 'c' }}{% endfilter %}",
    "conditions": "{{ 'a' if true }}[{{ 'a' if false }}]{{ 1 if 0 else 2 if 0 else 3 }}{{ not 1 == 2 }}{{ 1 < 2 < 3 }}{{ 0 or '' or 'x' }}{{ 'a' and [] }}{{ 1 not in [1] }}{{ 'b' in 'abc' }}{{ 'k' in {'k': 1} }}",
    "slices": "{{ 'abcdef'[1:-1] }} {{ 'abcdef'[::-2] }} {{ [1, 2, 3][-2:] }} {{ (1, 2, 3)[:1] }} {{ 'abc'[5:] }}|{{ range(9)[2:8:3] | list }}",
    "slice of none": "{% set x = none %}{{ x[1:] }}",
    "operators": "{{ 'a' ~ 1 ~ none }} {{ 'ab' * 2 }} {{ [1] + [2] }} {{ [0] * 2 }} {{ (1,) + (2,) }} {{ '%s-%03d-%.2f-%r' % ('a', 5, 1.5, 'b') }} {{ '{}{x}{}'.format(1, 3, x=2) }}{{ '{0}{{{0}}}'.format(none) }}",
    "adding unlike things": "{{ 'a' + 1 }}",
    "one unlike none": "{{ 'a' + none }}",
    "string methods": "{{ ' a b '.strip() }}|{{ 'xxa'.lstrip('x') }}|{{ 'a\\n\\n'.rstrip('\\n') }}|{{ 'a,b,,c'.split(',') }}|{{ ' a  b '.split() }}|{{ 'a.b.c'.split('.', 1) }}|{{ 'a.b.c'.rsplit('.', 1) }}|{{ 'a\\nb\\r\\n'.splitlines() }}|{{ 'ab'.replace('a', 'bb') }}|{{ 'a'.join(['1', '2']) }}|{{ 'abc'.find('c') }}|{{ 'hello wORLD'.title() }}|{{ 'abc'.startswith(('x', 'a')) }}|{{ 'a-b'.partition('-') }}|{{ '7'.zfill(3) }}|{{ 'éa'.upper() }}",
    "filters": "{{ [3, 1, 2] | sort }}{{ ['b', 'A'] | sort }}{{ [1, 1, 2] | unique | list }}{{ {'b': 1, 'A': 2} | dictsort }}{{ {'a': 1} | items | list }}{{ [1, 2] | sum }}{{ [1, 2] | max }}{{ 'x y' | title }}{{ 'ab' | first }}{{ 'ab' | last }}{{ [] | first }}{{ '12' | int + 1 }}{{ 'x' | int }}{{ 1.55 | round(1) }}{{ -1 | abs }}{{ 'a\\nb' | indent(2) }}{{ 'abc' | reverse }}{{ [1, 2] | join('-') }}{{ nothing | default('d') }}{{ '' | default('d', true) }}{{ none | default('d') }}",
    "filters of lists": "{{ messages | map(attribute='role') | join('/') }} {{ messages | selectattr('role', 'equalto', 'user') | map(attribute='content') | list }} {{ messages | rejectattr('tool_calls', 'defined') | list | length }} {{ ['a', 1, none] | select('string') | list }} {{ [0, 1] | reject | list }} {{ ['a'] | map('upper') | list }}",
    "a generator is true": "{% if messages | selectattr('role', 'equalto', 'nobody') %}yes{% endif %}{{ messages | map('length') is sequence }}",
    "a generator has no length": "{{ messages | map('length') | length }}",
    "unknown filter": "{{ 'a' | nonsense }}",
    "tojson": "{{ tools | tojson }}\n{{ tools | tojson(indent=2) }}\n{{ messages | tojson(ensure_ascii=true, separators=(',', ':'), sort_keys=true) }}\n{{ ['<&>\\'', 1.0, 1e22, true, none, 'é\\u0001/'] | tojson }}{{ [] | tojson(indent=4) }}",
    "tojson of nothing": "{{ nothing | tojson }}",
    "safe": "{{ '<a>' ~ ('<b>' | safe) }} {{ '<a>' + ('<b>' | safe) }} {{ ('<b>' | safe).strip() + '<' }} {{ '<' | e }} {{ '<a>' | safe | string + '<' }}",
    "tests": "{{ [1 is number, true is number, 1 is integer, true is integer, 1.0 is float, 'a' is string, {} is mapping, [] is sequence, 'a' is iterable, none is none, true is true, 1 is true, 4 is divisibleby 2, 3 is odd, 1 is in [1], 'a' is sameas 'a', nothing is undefined, 'A' is upper, 1 is boolean, messages is not string, range is callable, 2 is gt 1, nothing is sequence] }}",
    "spans": "é😀{% for m in messages %}{{ m.role }}:{% generation %}{{ m.content }}{% set x = 1 %}{% endgeneration %}{{ x }};\n{% endfor %}",
    "refusal": "{{ raise_exception('only users talk') }}",
    "tokens": "{{ bos_token }}{{ eos_token }}[{{ pad_token }}]{{ documents }}{{ tools is none }}{{ add_generation_prompt }}",
    "statements": "{% print 'a' %}{% if 0 %}{% elif 1 %}b{% else %}c{% endif %}{{ dict(a=1, **{'b': 2}) }}{{ dict({'c': 3}) }}{{ range(*[1, 4]) | list }}",
    "unknown tag": "{% do 1 %}",
    "a tag that does not end": "{% if true %}a",
    "wrong end": "{% if true %}{% endfor %}",
    "wrong bracket": "{{ (1] }}",
    "a trailing line break": "a\n\n",
}

# In the manner of well-known models. They are rendered for every conversation.
MODELS = {}
MODELS["qwen3"] = """{%- if messages[0].role == 'system' %}
    {{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}
{%- endif %}
{%- set ns = namespace(multi_step_tool=true, last_query_index=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.multi_step_tool and message.role == "user" and message.content is string and not(message.content.startswith('<tool_response>') and message.content.endswith('</tool_response>')) %}
        {%- set ns.multi_step_tool = false %}
        {%- set ns.last_query_index = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- if message.content is string %}
        {%- set content = message.content %}
    {%- else %}
        {%- set content = '' %}
    {%- endif %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) %}
        {{- '<|im_start|>' + message.role + '\\n' + content + '<|im_end|>' + '\\n' }}
    {%- elif message.role == "assistant" %}
        {%- set reasoning_content = '' %}
        {%- if message.reasoning_content is string %}
            {%- set reasoning_content = message.reasoning_content %}
        {%- else %}
            {%- if '</think>' in content %}
                {%- set reasoning_content = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}
                {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
            {%- endif %}
        {%- endif %}
        {%- if loop.index0 > ns.last_query_index %}
            {%- if loop.last or (not loop.last and reasoning_content) %}
                {{- '<|im_start|>' + message.role + '\\n<think>\\n' + reasoning_content.strip('\\n') + '\\n</think>\\n\\n' + content.lstrip('\\n') }}
            {%- else %}
                {{- '<|im_start|>' + message.role + '\\n' + content }}
            {%- endif %}
        {%- else %}
            {{- '<|im_start|>' + message.role + '\\n' + content }}
        {%- endif %}
        {{- '<|im_end|>\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}"""
MODELS["mistral"] = """{%- if messages[0]["role"] == "system" %}
    {%- set system_message = messages[0]["content"] %}
    {%- set loop_messages = messages[1:] %}
{%- else %}
    {%- set loop_messages = messages %}
{%- endif %}
{{- bos_token }}
{%- for message in loop_messages %}
    {%- if message["role"] == "user" %}
        {%- if loop.last and system_message is defined %}
            {{- "[INST] " + system_message + "\\n\\n" + message["content"] + "[/INST]" }}
        {%- else %}
            {{- "[INST] " + message["content"] + "[/INST]" }}
        {%- endif %}
    {%- elif message["role"] == "assistant" %}
        {{- " " + message["content"]|trim + eos_token}}
    {%- else %}
        {{- raise_exception("Only user and assistant roles are supported, with the exception of an initial optional system message!") }}
    {%- endif %}
{%- endfor %}
"""
MODELS["deepseek"] = """{% if not add_generation_prompt is defined %}{% set add_generation_prompt = false %}{% endif %}{% set ns = namespace(is_first=false, is_tool=false, is_output_first=true, system_prompt='') %}{%- for message in messages %}{%- if message['role'] == 'system' %}{% set ns.system_prompt = message['content'] %}{%- endif %}{%- endfor %}{{bos_token}}{{ns.system_prompt}}{%- for message in messages %}{%- if message['role'] == 'user' %}{%- set ns.is_tool = false -%}{{'<U>' + message['content']}}{%- endif %}{%- if message['role'] == 'assistant' and message['content'] is not none %}{% set content = message['content'] %}{% if '</think>' in content %}{% set content = content.split('</think>')[-1] %}{% endif %}{{'<A>' + content + '<E>'}}{%- endif %}{%- endfor -%}{% if add_generation_prompt and not ns.is_tool %}{{'<A><think>\\n'}}{% endif %}"""
MODELS["phi3"] = """{% for message in messages %}{% if message['role'] == 'system' and message['content'] %}{{'<|system|>\n' + message['content'] + '<|end|>\n'}}{% elif message['role'] == 'user' %}{{'<|user|>\n' + message['content'] + '<|end|>\n'}}{% elif message['role'] == 'assistant' %}{{'<|assistant|>\n' + message['content'] + '<|end|>\n'}}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% else %}{{ eos_token }}{% endif %}"""
MODELS["macro"] = """{% macro turn(role, text) %}<{{ role }}>{{ text | upper }}</{{ role }}>
{% endmacro %}{% for m in messages if m.role != 'system' %}{{ turn(m.role, m.content) }}{% if loop.index is odd %}odd{% else %}even{% endif %}{% if not loop.last %}, {% endif %}{% endfor %}{{ messages | map(attribute='role') | join('/') }} {{ messages | selectattr('role', 'equalto', 'user') | list | length }} {{ (messages | first).role }} {{ 'x' if add_generation_prompt else 'y' }}{# comment #} {{ messages | length * 2 }} {{ 7 // 2 }} {{ 7 % 4 }}"""


def utf16(text, index):
    """A position in Java's chars."""
    return len(text[:index].encode("utf-16-le")) // 2


def case(source, conversation, prompt):
    name, messages, options = conversation
    made = {"conversation": name, "add_generation_prompt": prompt}
    try:
        [text], [spans] = render_jinja_template(
            [copy.deepcopy(messages)],
            chat_template=source,
            add_generation_prompt=prompt,
            return_assistant_tokens_mask=True,
            **TOKENS,
            **copy.deepcopy(options),
        )
        made["expected"] = text
        made["generated"] = [[utf16(text, begin), utf16(text, end)] for begin, end in spans]
    except Exception as e:
        made["error"] = f"{type(e).__name__}: {e}"
    return made


def others(paths):
    for path in map(pathlib.Path, paths):
        if path.is_dir():
            for file in sorted(path.rglob("*.jinja")):
                yield str(file.relative_to(path)), file.read_text(encoding="utf-8")
        else:
            for entry in json.loads(path.read_text(encoding="utf-8")):
                yield entry["name"], entry["chat_template"]


templates = []
paths = sys.argv[2:]
for name, source in others(paths) if paths else MODELS.items():
    cases = [case(source, conversation, prompt) for conversation in CONVERSATIONS for prompt in (False, True)]
    templates.append({"name": name, "chat_template": source, **TOKENS, "cases": cases})
if not paths:
    for name, source in CONSTRUCTS.items():
        cases = [case(source, CONVERSATIONS[-1], False)]
        templates.append({"name": name, "chat_template": source, **TOKENS, "cases": cases})

conversations = {}
for name, messages, options in CONVERSATIONS:
    kwargs = {key: value for key, value in options.items() if key != "tools"}
    conversations[name] = {"messages": messages, "tools": options.get("tools"), "chat_template_kwargs": kwargs}


def lines(items):
    return ",\n".join(json.dumps(item, ensure_ascii=False) for item in items)


text = f'{{"conversations": {json.dumps(conversations, ensure_ascii=False)},\n"templates": [\n{lines(templates)}\n]}}\n'
pathlib.Path(sys.argv[1]).write_text(text, encoding="utf-8")
print(len(templates), "templates,", sum(len(t["cases"]) for t in templates), "cases")
