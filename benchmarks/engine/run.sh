#!/usr/bin/env bash
# The engine beside transformers, same model, CPU, type and threads, in one run. Prints a table; its rows are what README.md shows.
# usage: run.sh MODEL TRAIN.jsonl TEST.jsonl [dtype ...]      PYTHON names a python with torch and transformers; QUESTIONS, NEW_TOKENS, THREADS
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd); root=$here/../..
model=$1 train=$2 test=$3; shift 3
[ $# -gt 0 ] || set -- float32 bfloat16
python=${PYTHON:-python3} questions=${QUESTIONS:-64} new=${NEW_TOKENS:-128} threads=${THREADS:-$(nproc)} out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
if [ -z "${CLASSPATH:-}" ]; then
  "$root/safelora" --version >/dev/null
  CLASSPATH=$(echo "$root"/standalone/target/quarkus-app/lib/main/*.jar | tr ' ' ':')
fi
export CLASSPATH
javac -d "$out" "$here/EngineBenchmark.java"
ours() { # mode dtype batch file
  "${JAVA_HOME:+$JAVA_HOME/bin/}java" -Xmx512m -XX:+UseSerialGC -Dai.djl.pytorch.num_threads=$threads -cp "$CLASSPATH:$out" EngineBenchmark \
    "$1" "$model" "$2" "$train" "$test" "$questions" "$new" "$3" "$4" 2>"$out/log" || { cat "$out/log" >&2; exit 1; }
}
theirs() {
  TOKENIZERS_PARALLELISM=false OMP_NUM_THREADS=$threads "$python" "$here/transformers_baseline.py" "$1" "$model" "$2" "$train" "$test" "$questions" "$new" "$3" "$4" "$threads" \
    2>"$out/log" || { cat "$out/log" >&2; exit 1; }
}
for dtype; do
  batch=$([ "$dtype" = float32 ] && echo 8 || echo 16)
  for mode in ${MODES:-generate score single logits}; do
    ours "$mode" "$dtype" "${BATCH:-32}" "$out/$mode-$dtype-ours.json"
    theirs "$mode" "$dtype" "$batch" "$out/$mode-$dtype-theirs.json"
    if [ "$mode-$dtype" = logits-bfloat16 ]; then theirs logits float32 1 "$out/logits-float32-theirs.json"; fi
  done
  "$python" "$here/compare.py" "$out" "$dtype" "$questions"
done
