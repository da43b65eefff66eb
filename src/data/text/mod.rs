//! Text as tokens: the source `text`, which cuts a long text into windows whose next token is to be guessed.
//!
//! * [`vocabulary`]: tokens and their numbers, back and forth; [`pairs`]: byte-pair encoding
//! * [`windows`]: rows that overlap in one array of tokens; [`tokenize()`]: columns of a table

mod pairs;
mod tokenize;
mod vocabulary;
pub mod windows;

pub use tokenize::{still_text, tokenize};
pub use vocabulary::Vocabulary;

use super::args::{Args, Fallible, bad};
use super::spec::Call;
use super::table::{MOST_ROWS, Stored, Table, Values};
use super::{Context, files};
use crate::diag::error;
use std::sync::Arc;
use vocabulary::Tokens;
use windows::Windows;

/// The options of every source of windows.
const OPTIONS: [&str; 6] = ["context", "tokens", "vocabulary", "stride", "test", "lower"];

/// `text("file.txt", context = 64, tokens = "characters")`
pub fn load(call: &Call, context: &Context) -> Fallible<Table> {
    let params: Vec<&str> = ["file"].into_iter().chain(OPTIONS).collect();
    let args = Args::new(call, &params)?;
    let path = context.resolve(args.required_str("file")?);
    let bytes = files::read(&path, args.span("file"))?;
    let text = utf8(&bytes).map_err(|at| {
        let title = format!("'{}' is not UTF-8 text", path.display());
        vec![error("E0402", title).at(args.span("file"), format!("byte {at} (counted from 0) is not a character"))]
    })?;
    table(text, &args, &path.display().to_string())
}

/// `synthetic.text(characters = 100_000, seed = 1, …)`: sentences of a small grammar.
pub fn synthetic(call: &Call) -> Fallible<Table> {
    let params: Vec<&str> = ["characters", "seed"].into_iter().chain(OPTIONS).collect();
    let args = Args::new(call, &params)?;
    let length = args.int("characters", 100_000, 100, 1 << 26)? as usize;
    let text = super::synthetic::sentences(length, args.seed(1)?);
    table(&text, &args, "the text")
}

/// The text of a file, without a byte order mark; else the position of the first wrong byte.
fn utf8(bytes: &[u8]) -> Result<&str, usize> {
    let text = std::str::from_utf8(bytes).map_err(|e| e.valid_up_to())?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

/// Which tokens the arguments ask for.
fn tokens(args: &Args) -> Fallible<Tokens> {
    let kinds = ["characters", "words", "bpe"];
    let kind = args.str("tokens")?.unwrap_or("characters");
    Ok(match kind {
        "characters" => {
            if let Some(arg) = args.get("vocabulary") {
                let title = "'vocabulary' limits words and byte pairs";
                return Err(vec![bad(arg, title, "every character of the text is a token anyway")]);
            }
            Tokens::Characters
        }
        "words" => Tokens::Words { most: args.count("vocabulary", 10_000, 3)? },
        "bpe" => Tokens::Pairs { most: args.int("vocabulary", 1_000, 258, 1 << 20)? as usize },
        other => {
            let help = crate::diag::suggest(other, kinds).unwrap_or_else(|| format!("there are: {}", kinds.join(", ")));
            let title = format!("unknown kind of tokens \"{other}\"");
            return Err(vec![error("E0407", title).at(args.span("tokens"), "not a kind of tokens").help(help)]);
        }
    })
}

/// Windows of a text: its first part for training, its last for testing.
fn table(text: &str, args: &Args, place: &str) -> Fallible<Table> {
    if args.get("context").is_none() {
        let title = "the text needs the argument 'context'";
        let help = "context = 64 makes rows of 64 tokens (`text`) and the 64 that come one later (`next`)";
        return Err(vec![error("E0407", title).at(args.call_span(), "'context' is missing").help(help)]);
    }
    let context = args.int("context", 64, 1, 1 << 20)? as usize;
    let stride = args.get("stride").map(|_| args.count("stride", context, 1)).transpose()?;
    let share = args.float("test", 0.1, 0.0, 1.0)?;
    let lowered = if args.bool("lower", false)? { Some(text.to_lowercase()) } else { None };
    let text = lowered.as_deref().unwrap_or(text);

    let characters = text.chars().count();
    let first = (characters as f64 * (1.0 - share)).floor() as usize;
    let cut = text.char_indices().nth(first).map_or(text.len(), |(at, _)| at);
    let (train, test) = text.split_at(cut);
    let tokens = tokens(args)?;
    // Characters are those of the whole text, so that no test text is unknown. Words and pairs are learnt.
    let learnt_from = if tokens == Tokens::Characters { text } else { train };
    let vocabulary = Arc::new(Vocabulary::learn(tokens, &mut std::iter::once(learnt_from.into())));
    let part = |text: &str| {
        vocabulary.encode(text).map_err(|unknown| {
            vec![error("E0901", format!("internal error: '{unknown}' is missing in its own vocabulary"))]
        })
    };
    let windows = Windows::new(part(train)?, part(test)?, context, stride);

    for (name, rows, wanted) in [("training", windows.train_rows(), true), ("test", windows.test_rows(), share > 0.0)] {
        if wanted && rows == 0 {
            let title = format!("the {name} part of '{place}' is shorter than a window");
            let label = format!("a window is {context} tokens and the one after");
            let help =
                if name == "test" { "choose a shorter context, or test = 0" } else { "choose a shorter context" };
            return Err(vec![error("E0409", title).at(args.span("context"), label).help(help)]);
        }
    }
    let (train_rows, test_rows) = (windows.train_rows(), windows.test_rows());
    if train_rows + test_rows > MOST_ROWS {
        let title = format!("'{place}' gives {} windows", train_rows + test_rows);
        let label = format!("at most {MOST_ROWS} rows are possible");
        return Err(vec![error("E0409", title).at(args.call_span(), label).help("choose a larger stride")]);
    }
    let column = |name: &str, shift: usize| {
        let values = Values::Windows(windows.shifted(shift));
        let stored = Stored::new(name, false, vec![context], Some(vocabulary.len()), values);
        Stored { vocabulary: Some(vocabulary.clone()), ..stored }
    };
    Ok(Table::new(vec![column("text", 0), column("next", 1)], train_rows, test_rows))
}
