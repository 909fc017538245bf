#!/usr/bin/env bash
# A whole evaluation beside lm-evaluation-harness and transformers: three models, GSM8K, harmful and harmless requests, one guard judge. Prints a table.
# usage: run.sh MODEL TRAIN.jsonl TEST.jsonl [dtype ...]    PYTHON names a python with lm_eval, peft, torch, transformers; README.md has the rest
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd); root=$here/../..
model=$(realpath "$1") train=$(realpath "$2") test=$(realpath "$3"); shift 3
[ $# -gt 0 ] || set -- bfloat16
python=${PYTHON:-python3} threads=${THREADS:-$(nproc)} out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
export TOKENIZERS_PARALLELISM=false OMP_NUM_THREADS=$threads
HARMFUL=${HARMFUL:-} HARMLESS=${HARMLESS:-} GUARD=${GUARD:-} "$python" "$here/prepare.py" "$model" "$out" 2>"$out/log" || { cat "$out/log" >&2; exit 1; }
if [ -z "${CLASSPATH:-}" ]; then
  "$root/safelora" --version >/dev/null
  CLASSPATH=$(echo "$root"/standalone/target/quarkus-app/lib/main/*.jar | tr ' ' ':')
fi
export CLASSPATH
javac -d "$out" "$here/EvaluationBenchmark.java"
for dtype; do
  cat >"$out/plan.json" <<JSON
{"model": "$model", "guard": "$out/guard", "guard_type": "${GUARD_TYPE:-qwen3guard}", "train": "$train", "test": "$test", "dtype": "$dtype",
 "questions": ${QUESTIONS:-64}, "harmful": ${HARMFUL_ROWS:-64}, "harmless": ${HARMLESS_ROWS:-40}, "num_fewshot": ${NUM_FEWSHOT:-5}, "sampler": "${SAMPLER:-default}",
 "gsm8k_tokens": ${GSM8K_TOKENS:-256}, "answer_tokens": ${ANSWER_TOKENS:-64}, "batch": ${BATCH:-32}, "their_batch": ${THEIR_BATCH:-16}, "threads": $threads, "out": "$out"}
JSON
  "${JAVA_HOME:+$JAVA_HOME/bin/}java" -Xmx1g -XX:+UseSerialGC -Dai.djl.pytorch.num_threads="$threads" -cp "$CLASSPATH:$out" EvaluationBenchmark "$out/plan.json" \
    2>"$out/log" || { cat "$out/log" >&2; exit 1; }
  "$python" "$here/theirs.py" "$out/plan.json" >"$out/log" 2>&1 || { cat "$out/log" >&2; exit 1; }
  "$python" "$here/compare.py" "$out/plan.json"
done
