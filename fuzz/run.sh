#!/usr/bin/env bash
# run.sh TARGET SECONDS: fuzzes, then leaves the smallest corpus with the same coverage in corpus/TARGET.jsonl.
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
(cd .. && cargo +nightly fuzz cmin --sanitizer none "$target" "fuzz/$work" -- -max_len=4096 -timeout=10)
python3 corpus.py pack "$target" "$work"
