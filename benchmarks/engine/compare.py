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
# How far a bfloat16 pass is from float32, ours beside transformers' own: the last position's logits behind each question alone.
if os.path.exists(f"{out}/logits-{dtype}-ours.json") and dtype == "bfloat16":
    ours, theirs, exact = (json.load(open(f"{out}/logits-{name}.json"))["logits"] for name in ("bfloat16-ours", "bfloat16-theirs", "float32-theirs"))
    for who, given in (("ours", ours), ("transformers", theirs)):
        far = [abs(a - b) for row, right in zip(given, exact) for a, b in zip(row, right)]
        print(f"{dtype:9} logits    {who:12} from transformers' float32: root mean square {(sum(d * d for d in far) / len(far)) ** .5:.4f}, largest {max(far):.3f}   "
              f"likeliest token the same {sum(row.index(max(row)) == right.index(max(right)) for row, right in zip(given, exact))} of {len(exact)}", flush=True)
