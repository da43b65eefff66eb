#!/usr/bin/env python3
"""Corpora as single files: corpus/TARGET.jsonl holds one text a line, as a JSON string.

    corpus.py unpack TARGET FOLDER    texts of the corpus, and the programs of this repository, as files for the fuzzer
    corpus.py pack TARGET FOLDER      the other way round
"""

import hashlib
import json
import pathlib
import sys

FUZZ = pathlib.Path(__file__).parent
LONGEST = 4096  # bytes, as run.sh tells the fuzzer


def main():
    what, target, folder = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3])
    kept = FUZZ / "corpus" / f"{target}.jsonl"
    if what == "unpack":
        texts = [json.loads(line) for line in kept.read_text().splitlines()] if kept.exists() else []
        for place in ["examples", "stdlib", "tests"]:
            texts += [path.read_text() for path in sorted((FUZZ.parent / place).rglob("*.opt"))]
        folder.mkdir(parents=True, exist_ok=True)
        for text in texts:
            data = text.encode()
            if len(data) <= LONGEST:
                (folder / hashlib.sha1(data).hexdigest()).write_bytes(data)
    else:
        texts = []
        for path in folder.iterdir():
            try:
                texts.append(path.read_bytes().decode())
            except UnicodeDecodeError:
                continue  # never reaches the compiler
        texts.sort(key=lambda text: (len(text), text))
        kept.write_text("".join(json.dumps(text, ensure_ascii=False) + "\n" for text in texts))


main()
