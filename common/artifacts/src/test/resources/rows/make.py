#!/usr/bin/env python3
"""Make the Parquet, gzip and Zstandard files of this folder with pyarrow 26.   usage: make.py"""
import datetime, decimal, os, struct
import pyarrow as pa, pyarrow.parquet as pq

os.chdir(os.path.dirname(os.path.abspath(__file__)))
# Text that compresses, in two row groups.
rows = [{"question": "How many is %d and %d? " % (i, i + 1) * 3, "answer": "#### %d" % (2 * i + 1)} for i in range(20)]
for codec in "none", "snappy", "gzip", "brotli", "zstd", "lz4":
    for version in "1.0", "2.0":
        pq.write_table(pa.Table.from_pylist(rows), "%s-v%s.parquet" % (codec, version[0]), compression=codec, row_group_size=12, data_page_version=version)
types = pa.schema([
    ("text", pa.string()), ("large", pa.large_string()), ("dictionary", pa.dictionary(pa.int32(), pa.string())), ("number", pa.int64()),
    ("small", pa.int8()), ("real", pa.float64()), ("single", pa.float32()), ("flag", pa.bool_()), ("decimal", pa.decimal128(9, 2)),
    ("day", pa.date32()), ("time", pa.timestamp("us")), ("bytes", pa.binary()), ("fixed", pa.binary(3)), ("list", pa.list_(pa.string())),
    ("messages", pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))), ("map", pa.map_(pa.string(), pa.int64())),
    ("nested", pa.struct([("a/b", pa.list_(pa.list_(pa.int64())))])), ("nothing", pa.null())])
values = {"text": "café 🙂", "large": "large", "dictionary": "d", "number": 1 << 40, "small": -3, "real": 0.1, "single": 0.5, "flag": True,
    "decimal": decimal.Decimal("-12.30"), "day": datetime.date(2020, 1, 2), "time": datetime.datetime(2020, 1, 2), "bytes": b"\xff\xfe\x00",
    "fixed": b"abc", "list": ["a", None, ""], "messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": None}],
    "map": [("x", 1), ("y", None)], "nested": {"a/b": [[1, 2], [], None]}}
pq.write_table(pa.Table.from_pylist([values, {}], schema=types), "types.parquet")
pq.write_table(pa.table({"goal": ["x"], "time": pa.array([datetime.datetime(2020, 1, 2)], pa.timestamp("ns"))}), "int96.parquet", use_deprecated_int96_timestamps=True)
# A page of LZ4 as Hadoop frames it, in two blocks. pyarrow writes LZ4_RAW only.
text = b"Hadoop frames blocks of LZ4. " * 8
block = pa.Codec("lz4_raw").compress(text, asbytes=True)
open("hadoop.lz4", "wb").write(2 * (struct.pack(">II", len(text), len(block)) + block))
open("text.zst", "wb").write(pa.Codec("zstd").compress(b'{"question": "q", "answer": "a"}\n' * 3, asbytes=True))
