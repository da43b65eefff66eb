//! Changes of program texts that are likelier than changed bytes to come to a checker's deeper parts.

/// Small, and the same on every machine (Knuth's multiplier, the high bits).
pub struct Dice(pub u64);

impl Dice {
    pub fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        ((self.0 >> 33) as usize) % n.max(1)
    }
}

/// Words, numbers, runs of blanks, and single other characters.
fn tokens(text: &str) -> Vec<&str> {
    let class = |c: char| match c {
        c if c.is_alphanumeric() || c == '_' => 0,
        ' ' => 1,
        _ => 2,
    };
    let mut out = vec![];
    let mut start = 0;
    let mut last = None;
    for (at, c) in text.char_indices() {
        if at > start && (last != Some(class(c)) || class(c) == 2) {
            out.push(&text[start..at]);
            start = at;
        }
        last = Some(class(c));
    }
    out.push(&text[start..]);
    out
}

/// What tends to break compilers: odd sizes, wrong kinds, brackets, and words of the language.
const INSERTS: &[&str] = &[
    "0",
    "-1",
    "1e400",
    "9999999999",
    "0.5",
    "nan",
    "inf",
    "true",
    "\"text\"",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    "..",
    "x",
    "all",
    "theta",
    "t",
    "g",
    "@",
    "^",
    "/",
    "|>",
    "<-",
    "==",
    "not",
    "and",
    "if",
    "then",
    "else",
    "let",
    "state",
    "param",
    "for",
    "minimize",
    "report",
    "observe",
    "over",
    "with",
    "rest",
    "new",
    "training",
    "Dense(3)",
    "relu",
    "mean",
    "sum",
    "reshape",
    "shape(x)",
    "params(net)",
    "stack(2, Dense(2))",
    "norm(g)",
    "all.norm(g)",
    "rank(theta)",
    "float",
    "int",
    "[N]",
    ", axis = 1",
    "scan v in x, axis = 1 {",
    "sample(x, prompt = \"a\")",
    "conv(x, w)",
    "window_max(x, 2)",
    "einsum(\"ij,jk->ik\", a, b)",
    "grad(y, x)",
    "compare",
    "sweep",
    "train",
    "test",
    "expect",
    "data d = synthetic.moons(rows = 20)",
    "use \"x.opt\"",
    "random_unit([3])",
    "load(\"w.npz\")",
    "AdamW()",
    "cross_entropy",
    "zeros",
    "[1, 2]",
    "[0.5]",
    "[[1], [2, 3]]",
    "(1, 2)",
    "[relu]",
    "+",
    "*",
    "-",
    "%",
    ";",
    "\n",
    "β",
    "←",
    "\u{0}",
    "\"",
];

/// Another text, one to three changes away: words left out, doubled, moved, or replaced by what tends to break compilers.
pub fn text(text: &str, dice: &mut Dice) -> String {
    let mut parts: Vec<&str> = tokens(text);
    for _ in 0..1 + dice.below(3) {
        if parts.len() < 2 {
            break;
        }
        let at = dice.below(parts.len());
        match dice.below(7) {
            0 => drop(parts.remove(at)),
            1 => parts.insert(at, parts[at]),
            2 => parts[at] = INSERTS[dice.below(INSERTS.len())],
            3 => parts.insert(at, INSERTS[dice.below(INSERTS.len())]),
            4 => parts[at] = parts[dice.below(parts.len())],
            5 => {
                let other = dice.below(parts.len());
                parts.swap(at, other);
            }
            _ => {
                let end = (at + 1 + dice.below(12)).min(parts.len());
                drop(parts.drain(at..end));
            }
        }
    }
    let text = parts.concat();
    if dice.below(20) > 0 {
        return text;
    }
    let end = dice.below(text.len() + 1);
    text.chars().take(end).collect()
}
