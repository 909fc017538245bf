"""Prints one type's table of run.sh."""
import json
import sys

plan = json.load(open(sys.argv[1]))
ours, theirs = (json.load(open(f"{plan['out']}/{who}.json")) for who in ("ours", "theirs"))
print(f"{plan['dtype']}: 3 models, gsm8k {plan['questions']} ({plan['num_fewshot']} examples, {plan['sampler']}), {plan['harmful']} harmful and {plan['harmless']} harmless requests, "
      f"guard {plan['guard_type']}, {plan['threads']} threads")
for who, run in (("ours", ours), ("theirs", theirs)):
    parts = ", ".join(f"{name} {s:.0f} s" for name, s in run["parts"].items())
    print(f"  {who:7} {run['seconds']:7.1f} s   CPU {run['cpu_seconds']:7.1f} s   peak {run['peak_mb']} MB   {parts}")
same = sum(a[2].strip() == b[2].strip() for a, b in zip(ours["answers"], theirs["answers"]))
print(f"  {theirs['seconds'] / ours['seconds']:.1f} times as fast ({theirs['cpu_seconds'] / ours['cpu_seconds']:.1f} in CPU seconds); "
      f"the same answers to {same} of {len(theirs['answers'])} requests; gsm8k flexible-extract ours {ours['gsm8k']}, theirs {theirs['gsm8k']}; "
      f"guard's verdicts out of format: ours {ours['unparsed']}", flush=True)
