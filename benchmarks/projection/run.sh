#!/usr/bin/env bash
# Time and peak memory of `./safelora project` (the JVM's start included) against reading both checkpoints, in turns.
#
# usage: run.sh PAIR [--rounds 5] [--python PYTHON] [--make MAKE_PAIR.PY --shape tinyllama1b|llama7b-8layers] [--dense]
#   PAIR      a folder with base/, aligned/, adapter/; made by MAKE_PAIR.PY where it is missing
#   --python  has torch and safetensors: also reads every tensor into memory by safetensors, the floor, Python's start not counted
#   --dense   with --python: the dense float32 method, too, once (20 GB of memory for a 1B model)
# The hardest floor is `cat` of all shards to /dev/null: it copies the page cache and computes nothing.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
pair=${1:?usage: run.sh PAIR [--rounds 5] [--python PYTHON] [--make MAKE_PAIR.PY --shape SHAPE] [--dense]}; shift
rounds=5 python= make= shape=tinyllama1b dense=
while [ $# -gt 0 ]; do
  case $1 in
    --rounds) rounds=$2; shift 2 ;; --python) python=$2; shift 2 ;; --make) make=$2; shift 2 ;; --shape) shape=$2; shift 2 ;;
    --dense) dense=1; shift ;; *) echo "run.sh: no option $1" >&2; exit 2 ;;
  esac
done
command -v /usr/bin/time >/dev/null || { echo "run.sh: needs /usr/bin/time (GNU time)" >&2; exit 1; }
if [ ! -d "$pair/base" ]; then
  [ -n "$make" ] && [ -n "$python" ] || { echo "run.sh: $pair has no base/; give --python and --make to make it" >&2; exit 1; }
  "$python" "$make" "$pair" --shape "$shape"
fi
out=$(mktemp -d); trap 'rm -rf "$out"' EXIT
measure() { /usr/bin/time -a -o "$out/$1" -f '%e %U %S %M' "${@:2}" >"$out/stdout" 2>"$out/log" || { cat "$out/log" >&2; exit 1; }; }
floor() { cat "$pair"/base/*.safetensors "$pair"/aligned/*.safetensors >/dev/null; }
export -f floor; export pair
project() { "$here/../../safelora" project --base "$pair/base" --aligned "$pair/aligned" --adapter "$pair/adapter" --out "$out/projected" "$@"; }
export -f project; export here out
bash -c floor; bash -c 'project --number 30' >/dev/null 2>&1 # builds, and fills the page cache
for ((i = 0; i < rounds; i++)); do
  measure cat bash -c floor
  [ -z "$python" ] || { measure safetensors "$python" "$here/read.py" "$pair/base" "$pair/aligned"
    sed -i "\$s/^[^ ]*/$(cat "$out/stdout")/" "$out/safetensors"; }
  measure safelora bash -c 'project --number 30'
done
median() { sort -n "$out/$1" | awk '{a[NR] = $0} END {print a[int((NR + 1) / 2)]}'; }
echo "$(du -shcL "$pair"/base "$pair"/aligned | tail -1 | cut -f1) in two checkpoints; medians of $rounds rounds"
printf '%-32s %8s %8s %8s %8s\n' '' 'wall s' 'user s' 'sys s' 'peak MB'
for what in cat safetensors safelora; do
  [ ! -f "$out/$what" ] || median $what | awk -v w=$what '{printf "%-32s %8.2f %8.2f %8.2f %8.0f\n", w, $1, $2, $3, $4 / 1024}'
done
for what in cat safetensors; do
  # The median of the rounds' own ratios: what else the machine does meets both of a round.
  [ ! -f "$out/$what" ] || echo "safelora / $what: $(paste "$out/safelora" "$out/$what" | awk '{print $1 / $5}' | sort -n | awk '{a[NR] = $1} END {printf "%.2f", a[int((NR + 1) / 2)]}')"
done
if [ -n "$dense" ] && [ -n "$python" ]; then
  /usr/bin/time -o "$out/dense" -f '%e %U %S %M' "$python" "$here/dense.py" "$pair/base" "$pair/aligned" "$pair/adapter" 30 >"$out/chosen"
  awk '{printf "%-32s %8.2f %8.2f %8.2f %8.0f\n", "dense float32 (PyTorch)", $1, $2, $3, $4 / 1024}' "$out/dense"
  project --number 30 --json 2>/dev/null | "$python" -c 'import json, sys; print("\n".join(sorted(json.load(sys.stdin)["selected"])))' |
    diff - "$out/chosen" >/dev/null && echo "the same modules selected" || echo "other modules selected"
fi
