"""Prints one type's table of run.sh."""
import json, os, sys

out, dtype, questions = sys.argv[1], sys.argv[2], int(sys.argv[3])
for mode in ("generate", "score", "single"):
    if not os.path.exists(f"{out}/{mode}-{dtype}-theirs.json"):
        continue
    ours, theirs = (json.load(open(f"{out}/{mode}-{dtype}-{who}.json")) for who in ("ours", "theirs"))
    n, unit = (len(ours["ids"][0]), "tokens/s") if mode == "single" else (questions, "questions/s")
    if mode == "score":
        same = f"largest difference of an answer's log-probability {max(abs(a - b) for a, b in zip(ours['sums'], theirs['sums'])):.2g}"
    else:
        same = f"same tokens {sum(a == b[:len(a)] for a, b in zip(ours['ids'], theirs['ids']))} of {len(ours['ids'])}"
    print(f"{dtype:9} {mode:9} ours {n / ours['seconds']:7.2f} {unit:11} {ours['peak_mb']:5} MB   transformers {n / theirs['seconds']:7.2f} {unit:11} "
          f"{theirs['peak_mb']:5} MB   {theirs['seconds'] / ours['seconds']:5.1f} times ({theirs['cpu_seconds'] / ours['cpu_seconds']:.1f} in CPU seconds)   {same}", flush=True)
