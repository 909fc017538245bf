#!/usr/bin/env python3
"""Make rows.parquet (zstd) and messages.parquet (snappy) of this folder from rows.jsonl.   usage: make_parquet.py   (pyarrow)"""
import json, os, pyarrow as pa, pyarrow.parquet as pq
here = os.path.dirname(os.path.abspath(__file__))
rows = [json.loads(l) for l in open(os.path.join(here, "rows.jsonl"))]
pq.write_table(pa.Table.from_pylist(rows), os.path.join(here, "rows.parquet"), compression="zstd", row_group_size=20)
chat = [{"messages": [{"role": "user", "content": r["question"]}, {"role": "assistant", "content": r["answer"]}], "n": i} for i, r in enumerate(rows[:8])]
pq.write_table(pa.Table.from_pylist(chat), os.path.join(here, "messages.parquet"), compression="snappy")
with open(os.path.join(here, "messages.jsonl"), "w") as f: f.writelines(json.dumps(r) + "\n" for r in chat)
