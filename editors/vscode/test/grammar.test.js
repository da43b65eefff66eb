// Colours every example and library file with the real engine: no line may fail, and known words must have known colours.

const assert = require("node:assert");
const fs = require("node:fs");
const path = require("node:path");
const oniguruma = require("vscode-oniguruma");
const textmate = require("vscode-textmate");

const here = (name) => path.join(__dirname, "..", name);

/** All `.opt` files under a folder. */
function programs(folder) {
  return fs.readdirSync(folder, { recursive: true }).filter((f) => f.endsWith(".opt")).map((f) => path.join(folder, f));
}

async function load() {
  const wasm = fs.readFileSync(require.resolve("vscode-oniguruma/release/onig.wasm"));
  await oniguruma.loadWASM(wasm.buffer);
  const registry = new textmate.Registry({
    onigLib: Promise.resolve({
      createOnigScanner: (patterns) => new oniguruma.OnigScanner(patterns),
      createOnigString: (text) => new oniguruma.OnigString(text),
    }),
    loadGrammar: async () => {
      const file = here("syntaxes/opt.tmLanguage.json");
      return textmate.parseRawGrammar(fs.readFileSync(file, "utf8"), file);
    },
  });
  return registry.loadGrammar("source.opt");
}

/** [word, innermost scope] of each token. */
function tokens(grammar, text) {
  let state = textmate.INITIAL;
  const out = [];
  for (const line of text.split("\n")) {
    const result = grammar.tokenizeLine(line, state);
    for (const t of result.tokens) out.push([line.slice(t.startIndex, t.endIndex).trim(), t.scopes.at(-1)]);
    state = result.ruleStack;
  }
  return out;
}

const SAMPLE = `/// Doc.
use layers.{Dense}
layer Mlp(hidden: int = 10)(image: float[N, 28]) -> float[N] {
  // why
  let m̂ = image |> Dense(hidden, init = he_normal) |> relu
  m ← where(m̂ > 1e-3, "a\\n", not true)
}
const size = 3
data digits = csv("a.csv")
optimizer Sgd(lr: schedule = 0.1)(theta, g, t) {
  all state d = 0
  state m = 0
  eval theta = m
  if t == 1 { m <- g } else { m <- if g > 0 or g < 1 then g else -g }
  for i in 0..3 { observe norm(g) }
}
layer Rnn()(x) {
  param w: float[3] role norm = zeros
  scan step in x, h = 0 { h <- step and h }
}
train t(lr: float = 1) on digits {
  minimizing test.loss
  step(image) {
    minimize loss_of(image) over net.body where rank >= 2 with AdamW(lr), rest with SGD(0.1)
    report accuracy(image)
  }
  sample(image, length = 3) { image }
}
compare t over lr in [1, 2]
sweep t over lr in log(1e-4 .. 1e-1) by random(trials = 3) maximizing test.accuracy
test "t" { expect 1 ~ 2 within 3 }
`;

const WANTED = {
  "/// Doc.": "comment.line.documentation",
  "// why": "comment.line.double-slash",
  use: "keyword.control.import",
  layers: "entity.name.namespace",
  layer: "storage.type",
  Mlp: "entity.name.type",
  "m̂": "variable.parameter",
  float: "support.type",
  N: "variable.other.dimension",
  let: "storage.modifier",
  "|>": "keyword.operator.pipe",
  relu: "entity.name.function",
  init: "variable.parameter",
  "←": "keyword.operator.assignment",
  "1e-3": "constant.numeric",
  "\\n": "constant.character.escape",
  not: "keyword.operator.logical",
  true: "constant.language",
  on: "keyword.control",
  step: "storage.type",
  minimize: "keyword.control",
  rest: "keyword.control",
  AdamW: "entity.name.type",
  test: "storage.type",
  within: "keyword.control",
};

async function main() {
  const grammar = await load();
  const found = tokens(grammar, SAMPLE);
  for (const [word, scope] of Object.entries(WANTED)) {
    const scopes = found.filter(([text]) => text === word).map(([, s]) => s);
    assert(scopes.some((s) => s.startsWith(scope)), `${word}: ${scopes} is not ${scope}`);
  }
  // Every word of the compiler's grammar is coloured where it is one.
  const words = fs.readFileSync(here("../../grammar/opt.pest"), "utf8").matchAll(/^kw_\w+\s*= @\{ "(\w+)"/gm);
  const kinds = ["fn", "init", "layer", "model", "loss", "metric", "schedule", "transform", "optimizer"];
  const all = [...[...words].map((m) => m[1]), "and", "or", "not"];
  assert(all.length > 30);
  for (const word of all) {
    const scopes = found.filter(([text]) => text === word).map(([, s]) => s);
    assert(scopes.some((s) => /^(keyword|storage|constant\.language)/.test(s)), `'${word}' is no keyword: ${scopes}`);
  }
  for (const kind of kinds) {
    const [[word, scope]] = tokens(grammar, `${kind} f()(x) = x`);
    assert(word === kind && scope.startsWith("storage.type"), `${kind}: ${scope}`);
  }
  let count = 0;
  for (const file of [...programs(here("../../examples")), ...programs(here("../../stdlib"))]) {
    const bad = tokens(grammar, fs.readFileSync(file, "utf8")).filter(([, scope]) => scope.startsWith("invalid"));
    assert.deepStrictEqual(bad, [], file);
    count += 1;
  }
  for (const name of ["package.json", "language-configuration.json"]) JSON.parse(fs.readFileSync(here(name), "utf8"));
  new RegExp(JSON.parse(fs.readFileSync(here("language-configuration.json"), "utf8")).wordPattern, "u");
  console.log(`${count} files, ${Object.keys(WANTED).length} colours, ${all.length + kinds.length} words: ok`);
}

main();
