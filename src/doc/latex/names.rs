//! Names as formulas write them: `beta1` is β₁, `m_hat` has a hat, `weight_decay` is λ.

/// A name in parts, so that a time index can join its subscript.
#[derive(Clone, Debug, PartialEq)]
pub struct Symbol {
    base: String,
    subscript: Option<String>,
    superscript: Option<String>,
}

const GREEK: &[(&str, char)] = &[
    ("alpha", 'α'),
    ("beta", 'β'),
    ("gamma", 'γ'),
    ("delta", 'δ'),
    ("epsilon", 'ε'),
    ("zeta", 'ζ'),
    ("eta", 'η'),
    ("theta", 'θ'),
    ("iota", 'ι'),
    ("kappa", 'κ'),
    ("lambda", 'λ'),
    ("mu", 'μ'),
    ("nu", 'ν'),
    ("xi", 'ξ'),
    ("pi", 'π'),
    ("rho", 'ρ'),
    ("sigma", 'σ'),
    ("tau", 'τ'),
    ("phi", 'φ'),
    ("chi", 'χ'),
    ("psi", 'ψ'),
    ("omega", 'ω'),
    ("Gamma", 'Γ'),
    ("Delta", 'Δ'),
    ("Theta", 'Θ'),
    ("Lambda", 'Λ'),
    ("Sigma", 'Σ'),
    ("Phi", 'Φ'),
    ("Psi", 'Ψ'),
    ("Omega", 'Ω'),
];

/// What papers call the usual hyper-parameters, unless the rule uses that letter for something else.
const USUAL: &[(&str, &str)] = &[
    ("lr", "eta"),
    ("max_lr", "eta_max"),
    ("eps", "epsilon"),
    ("eps1", "epsilon1"),
    ("eps2", "epsilon2"),
    ("weight_decay", "lambda"),
    ("lambd", "lambda"),
    ("momentum", "mu"),
    ("dampening", "tau"),
    ("momentum_decay", "psi"),
];

const ACCENTS: &[(&str, &str)] = &[("hat", "\\hat"), ("bar", "\\bar"), ("tilde", "\\tilde"), ("dot", "\\dot")];

/// Marks that combine with the letter before them.
const MARKS: &[(char, &str)] =
    &[('\u{302}', "\\hat"), ('\u{304}', "\\bar"), ('\u{303}', "\\tilde"), ('\u{307}', "\\dot"), ('\u{305}', "\\bar")];

/// The symbol of a name; `taken` are the names of the rule, whose letters the usual ones must not hide.
pub fn symbol(name: &str, taken: &[&str]) -> Symbol {
    let usual = USUAL.iter().find(|(n, _)| *n == name).map(|(_, letter)| *letter);
    match usual.filter(|letter| !taken.iter().any(|t| plain(t) == plain(letter) && *t != name)) {
        Some(letter) => parts(letter),
        None => parts(name),
    }
}

/// The letter's name of a Greek letter, else the name itself: `β` and `beta` are one.
fn plain(name: &str) -> &str {
    let mut chars = name.chars();
    match (chars.next(), chars.next()) {
        (Some(c), None) => GREEK.iter().find(|(_, letter)| *letter == c).map_or(name, |(word, _)| word),
        _ => name,
    }
}

fn parts(name: &str) -> Symbol {
    let mut words = name.split('_').filter(|w| !w.is_empty());
    let first = words.next().unwrap_or("");
    let rest: Vec<&str> = words.collect();
    let stem = first.trim_end_matches(|c: char| c.is_ascii_digit() || is_subscript_digit(c));
    let digits: String = first[stem.len()..].chars().map(ascii_digit).collect();
    let Some(letter) = letter(stem) else {
        // A word, or several: upright, with its digits.
        let text = name.replace('_', "\\_");
        return Symbol { base: format!("\\mathrm{{{text}}}"), subscript: None, superscript: None };
    };
    let mut base = letter;
    let mut subscript = vec![];
    let mut superscript = None;
    if !digits.is_empty() {
        subscript.push(digits);
    }
    for word in rest {
        if let Some((_, accent)) = ACCENTS.iter().find(|(w, _)| *w == word) {
            base = format!("{accent}{{{base}}}");
        } else if word == "max" || word == "min" {
            superscript = Some(format!("\\{word}"));
        } else if word == "inf" {
            subscript.push("\\infty".into());
        } else if word.chars().count() == 1 || word.chars().all(|c| c.is_ascii_digit()) {
            subscript.push(letter_or_digits(word));
        } else {
            subscript.push(format!("\\mathrm{{{word}}}"));
        }
    }
    let subscript = (!subscript.is_empty()).then(|| subscript.join(","));
    Symbol { base, subscript, superscript }
}

fn letter_or_digits(word: &str) -> String {
    letter(word).unwrap_or_else(|| word.to_string())
}

fn is_subscript_digit(c: char) -> bool {
    ('₀'..='₉').contains(&c)
}

fn ascii_digit(c: char) -> char {
    match c {
        '₀'..='₉' => char::from(b'0' + (c as u32 - '₀' as u32) as u8),
        c => c,
    }
}

/// One letter, Latin or Greek, with its combining marks.
fn letter(word: &str) -> Option<String> {
    if let Some((name, _)) = GREEK.iter().find(|(name, _)| *name == word) {
        return Some(format!("\\{name}"));
    }
    let mut chars = word.chars();
    let first = chars.next()?;
    let mut out = match GREEK.iter().find(|(_, c)| *c == first) {
        Some((name, _)) => format!("\\{name}"),
        None if first.is_alphabetic() => first.to_string(),
        None => return None,
    };
    for mark in chars {
        let (_, accent) = MARKS.iter().find(|(c, _)| *c == mark)?;
        out = format!("{accent}{{{out}}}");
    }
    Some(out)
}

impl Symbol {
    /// A name that is written upright, whatever it is.
    pub fn word(name: &str) -> Symbol {
        let base = format!("\\mathrm{{{}}}", name.replace('_', "\\_"));
        Symbol { base, subscript: None, superscript: None }
    }

    /// With a time index, if there is one: `\theta_{t-1}`.
    pub fn at(&self, time: Option<&str>) -> String {
        let subscript = match (&self.subscript, time) {
            (Some(own), Some(time)) => Some(format!("{own},{time}")),
            (own, time) => own.clone().or(time.map(str::to_string)),
        };
        let mut out = self.base.clone();
        if let Some(sub) = subscript {
            out += &match sub.chars().count() {
                1 => format!("_{sub}"),
                _ => format!("_{{{sub}}}"),
            };
        }
        if let Some(sup) = &self.superscript {
            out += &format!("^{{{sup}}}");
        }
        out
    }

    /// Whether a power needs brackets.
    pub fn has_superscript(&self) -> bool {
        self.superscript.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn latex(name: &str) -> String {
        symbol(name, &[name]).at(None)
    }

    #[test]
    fn names_are_those_of_papers() {
        assert_eq!(latex("beta1"), "\\beta_1");
        assert_eq!(latex("β₁"), "\\beta_1");
        assert_eq!(latex("m_hat"), "\\hat{m}");
        assert_eq!(latex("m\u{302}"), "\\hat{m}");
        assert_eq!(latex("v_max"), "v^{\\max}");
        assert_eq!(latex("rho_inf"), "\\rho_{\\infty}");
        assert_eq!(latex("lr"), "\\eta");
        assert_eq!(latex("weight_decay"), "\\lambda");
        assert_eq!(latex("warmup_steps"), "\\mathrm{warmup\\_steps}");
        assert_eq!(latex("mu_product"), "\\mu_{\\mathrm{product}}");
    }

    #[test]
    fn usual_letters_give_way() {
        assert_eq!(symbol("lr", &["lr", "eta"]).at(None), "\\mathrm{lr}");
        assert_eq!(symbol("momentum", &["momentum", "μ"]).at(None), "\\mathrm{momentum}");
    }

    #[test]
    fn time_joins_the_subscript() {
        assert_eq!(symbol("theta", &[]).at(Some("t-1")), "\\theta_{t-1}");
        assert_eq!(symbol("v_max", &[]).at(Some("t")), "v_t^{\\max}");
        assert_eq!(symbol("d1", &[]).at(Some("t")), "d_{1,t}");
    }
}
