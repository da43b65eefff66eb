#!/usr/bin/env bash
# run.sh TARGET SECONDS: fuzzes, then leaves a small corpus with the same coverage in corpus/TARGET.jsonl.
# Needs a nightly compiler, cargo-fuzz and python3. What breaks the compiler is left in artifacts/TARGET.
set -euo pipefail
cd "$(dirname "$0")"
target=$1 seconds=$2
work=target/corpora/$target
# As much stack as the compiler's own thread has
ulimit -s 262144
build=(cargo +nightly fuzz run --sanitizer none)
python3 corpus.py unpack "$target" "$work"
(cd .. && "${build[@]}" "$target" "fuzz/$work" -- \
  -max_total_time="$seconds" -max_len=4096 -timeout=10 -rss_limit_mb=4096 -dict=fuzz/words.dict -print_final_stats=1)
# Each branch once, by a short text: the tests try them all
rm -rf "$work.small" && mkdir "$work.small"
(cd .. && "${build[@]}" "$target" "fuzz/$work.small" "fuzz/$work" -- -merge=1 -use_counters=0 -max_len=700)
python3 corpus.py pack "$target" "$work.small"
