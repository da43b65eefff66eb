#!/usr/bin/env bash
# Makes the parser and tries it: the corpus, every program of the repository, the queries. Needs `tree-sitter`
# (cargo install tree-sitter-cli) and a C compiler. What it makes goes to a scratch folder.
set -euo pipefail
cd "$(dirname "$0")"
root=$(cd ../.. && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cp -r grammar.js package.json tree-sitter.json queries src test "$scratch"
cd "$scratch"
export XDG_CACHE_HOME="$scratch/cache"

tree-sitter generate
tree-sitter test

# Every program of the repository, but those whose text has a mistake (E01…) on purpose.
find "$root/stdlib" "$root/examples" "$root/tests/format" "$root/tests/check" "$root/src/cli/templates" -name '*.opt' -not -path '*/check/syntax/*' | sort > all
while read -r file; do
  grep -qs 'error\[E01' "$root/tests/it/snapshots/messages@$(basename "$file").snap" || echo "$file"
done < all > programs
tree-sitter parse --quiet --paths programs
tree-sitter query queries/highlights.scm "$root/examples/quickstart.opt" > colours
grep -q 'keyword' colours
echo "$(wc -l < programs) programs and the colours: ok"
