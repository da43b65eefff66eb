#!/bin/sh
# Measures ours and the installed peers in alternation and prints one table of medians. See README.md.
#
#   benches/compare.sh PEERS [WORKLOAD…]
#
# PEERS is the folder with the peers' scripts. BENCH_PYTHON: the interpreter that has them installed (default: python3).
# THREADS (default "1 2"), ROUNDS (default 3), EXTRA (protocol; default short chunks), OUT (lines of JSON, appended).
# COMPILE=1 adds torch.compile, which takes up to minutes before each first step.
set -eu
if [ $# -lt 1 ]; then
    sed -n '2,8s/^# \{0,1\}//p' "$0"
    exit 2
fi
peers=$1
shift
here=$(cd "$(dirname "$0")" && pwd)
python=${BENCH_PYTHON:-python3}
threads=${THREADS:-1 2}
rounds=${ROUNDS:-3}
extra=${EXTRA:---chunk-s 0.3 --chunks 5 --warmup-s 0.5}
out=${OUT:-$(mktemp)}
ours=${BENCH_OPTC:-}
if [ -z "$ours" ]; then
    ours=$(cd "$here/.." && cargo build --release --bench peer --message-format=json |
        sed -n 's/.*"name":"peer".*"executable":"\([^"]*\)".*/\1/p' | tail -1)
fi
[ $# -gt 0 ] || set -- linreg mlp mlp_wide cnn32 cnn128 resnet8 \
    opt_sgd_momentum_1x10M opt_adamw_1x10M opt_lion_1x10M opt_adabelief_1x10M opt_lamb_1x10M \
    opt_sgd_momentum_200x50k opt_adamw_200x50k opt_lion_200x50k opt_adabelief_200x50k opt_lamb_200x50k

# Runs one measurement; its line of JSON (with the load before it) goes to $out.
once() {
    name=$1
    shift
    load=$(cut -d' ' -f1 /proc/loadavg 2>/dev/null || echo null)
    # shellcheck disable=SC2086 # the protocol is several words
    line=$("$@" --json $extra 2>/dev/null | grep '^{' | tail -1) || line=
    if [ -n "$line" ]; then
        printf '%s\n' "$line" | sed "s/^{/{\"who\":\"$name\",\"load\":$load,/" >>"$out"
        printf '.' >&2
    else
        printf '(%s failed)' "$name" >&2
    fi
}

has() { "$python" -c "import $1" 2>/dev/null; }

for workload in "$@"; do
    for n in $threads; do
        for _ in $(seq "$rounds"); do
            once optc "$ours" "$workload" --threads "$n" --mode jit
            if has torch; then
                once torch "$python" "$peers/torch_bench.py" "$workload" --threads "$n" --mode eager
                case $workload in
                    opt_sgd* | opt_adam_* | opt_adamw*)
                        once torch-fused "$python" "$peers/torch_bench.py" "$workload" --threads "$n" --mode fused ;;
                esac
                if [ -n "${COMPILE:-}" ]; then
                    once torch-compile "$python" "$peers/torch_bench.py" "$workload" --threads "$n" --mode compile
                fi
            fi
            if has jax; then
                once jax "$python" "$peers/jax_bench.py" "$workload" --threads "$n" --mode jit
            fi
        done
    done
done
echo >&2

# Medians over the rounds, and our distance to each peer.
awk '
function field(name,   m) {
    if (match($0, "\"" name "\": *[^,}]*")) {
        m = substr($0, RSTART, RLENGTH); sub(/^[^:]*: */, "", m); gsub(/"/, "", m); return m
    }
    return ""
}
function middle(list,   v, n, i, j, t) {
    n = split(list, v, " ")
    for (i = 2; i <= n; i++) for (j = i; j > 1 && v[j] + 0 < v[j-1] + 0; j--) { t = v[j]; v[j] = v[j-1]; v[j-1] = t }
    return n % 2 ? v[(n + 1) / 2] : (v[n / 2] + v[n / 2 + 1]) / 2
}
{
    key = field("workload") "|" field("threads"); who = field("who")
    if (!(key in seen)) { seen[key] = 1; order[++keys] = key }
    if (!((key, who) in rate)) names[key] = names[key] " " who
    rate[key, who] = rate[key, who] " " field("steps_per_s")
    first[key, who] = first[key, who] " " field("first_step_s")
    peak[key, who] = peak[key, who] " " field("peak_rss_mb")
    load[key, who] = load[key, who] " " field("load")
}
END {
    print "| workload | threads | library | steps/s | ours is | to first step | peak memory | load |"
    print "|---|---|---|---|---|---|---|---|"
    for (k = 1; k <= keys; k++) {
        key = order[k]; split(key, part, "|"); n = split(names[key], people, " ")
        own = (key, "optc") in rate ? middle(rate[key, "optc"]) : 0
        for (i = 1; i <= n; i++) {
            r = middle(rate[key, people[i]])
            times = people[i] == "optc" || own == 0 || r == 0 ? "" : sprintf("%.2fx", own / r)
            printf "| %s | %s | %s | %s | %s | %.3f s | %.0f MB | %.1f |\n", part[1], part[2], people[i], \
                sprintf(r < 100 ? "%.2f" : "%.0f", r), times, middle(first[key, people[i]]), middle(peak[key, people[i]]), middle(load[key, people[i]])
        }
    }
}' "$out"
