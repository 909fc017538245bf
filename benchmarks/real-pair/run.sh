#!/usr/bin/env bash
# One job on a real 135M pair, through all four services, with its time and peak memory; then, where Python with PEFT is
# there, the adapter is loaded by PeftModel.from_pretrained and its logits are held against ours.
#
# usage: [JOB=sweep.yaml] run.sh PAIR [PYTHON]
#   PAIR: a folder with base/, aligned/, gsm8k-harmed.jsonl, heldout.csv, harmless.csv, gsm8k_{train,test}.jsonl
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
pair=$(cd "$1" && pwd); python=${2:-}
out=$pair/out; mkdir -p "$out"
sed "s|\$PAIR|$pair|" "$here/${JOB:-job.yaml}" | grep -v '^#' >"$out/job.yaml"
SECONDS=0
"$here/../../safelora" run "$out/job.yaml" --out "$out" &
pid=$!
peak=0
while kill -0 $pid 2>/dev/null; do
  now=$(awk '/VmHWM/{print int($2/1024)}' /proc/$pid/status 2>/dev/null || true)
  [ "${now:-0}" -le "$peak" ] || peak=$now
  sleep 1
done
wait $pid
echo "wall time ${SECONDS} s, peak resident memory ${peak} MB"
[ -z "$python" ] || "$python" "$here/check_peft.py" "$pair/aligned" "$out/adapter" "$here/../../safelora"
