//! `tokenize`: columns of text become rows of token numbers.

use super::super::args::{Args, Fallible};
use super::super::columns::{self, Picked};
use super::super::disk::Disk;
use super::super::spec::Call;
use super::super::table::{Stored, Table, Values};
use super::vocabulary::{Tokens, Vocabulary};
use crate::diag::{Diagnostic, error, suggest};
use std::sync::Arc;

const OPTIONS: [&str; 4] = ["length", "tokens", "vocabulary", "at_least"];

/// `tokenize(message, …, length = 32, tokens = "words", vocabulary = 10_000, at_least = 1)`: the vocabulary is learnt from
/// the train rows; token 0 fills up short rows, and long ones are cut.
pub fn tokenize(call: &Call, table: &mut Table) -> Fallible<()> {
    let (named, options) = columns::and_options(call);
    let args = Args::new(&options, &OPTIONS)?;
    let length = args.int("length", 32, 1, 1 << 20)? as usize;
    let tokens = tokens(&args)?;
    for Picked { index, span } in columns::named(&named, table)? {
        let stored = &mut table.columns[index];
        let Values::Text(texts) = &stored.values else {
            let title = format!("'{}' is not a column of text", stored.column.name);
            let help = "csv(…, message = text(\"field\")) keeps a field as text";
            return Err(vec![error("E0409", title).at(span, "'tokenize' needs text").help(help)]);
        };
        let mut lost = None;
        let text = |row: &u32| texts.get(*row as usize).map_err(|reason| lost = Some(reason)).ok();
        let vocabulary = Vocabulary::learn(tokens, &mut table.train.iter().map_while(text));
        if let Some(lost) = lost {
            return Err(vec![lost]);
        }
        let mut encode = vocabulary.encoder();
        let rows = (0..texts.len()).map(|row| {
            let text = texts.get(row).map_err(|lost| vec![lost])?;
            // Words and byte pairs know every text.
            let mut numbers = encode(&text).unwrap_or_default();
            numbers.resize(length, 0);
            Ok(numbers)
        });
        let values = if texts.is_on_disk() {
            Values::Disk(Disk::of_integers(rows, length, vocabulary.len(), span)?)
        } else {
            Values::I32(rows.collect::<Fallible<Vec<_>>>()?.concat())
        };
        drop(encode);
        stored.column.shape = vec![length];
        stored.column.classes = Some(vocabulary.len());
        stored.values = values;
        stored.vocabulary = Some(Arc::new(vocabulary));
    }
    Ok(())
}

fn tokens(args: &Args) -> Fallible<Tokens> {
    let kinds = ["words", "bpe"];
    let at_least = args.count("at_least", 1, 1)?;
    match args.str("tokens")?.unwrap_or("words") {
        "words" => Ok(Tokens::Plain { most: args.count("vocabulary", 10_000, 3)?, at_least }),
        "bpe" => Ok(Tokens::PaddedPairs { most: args.int("vocabulary", 1_000, 258, 1 << 20)? as usize }),
        other => {
            let help = suggest(other, kinds).unwrap_or_else(|| format!("there are: {}", kinds.join(", ")));
            let title = format!("unknown kind of tokens \"{other}\"");
            Err(vec![error("E0407", title).at(args.span("tokens"), "not a kind of tokens").help(help)])
        }
    }
}

/// The error for a column of text that never became numbers.
pub fn still_text(stored: &Stored, call: &Call) -> Option<Diagnostic> {
    let name = &stored.column.name;
    matches!(stored.values, Values::Text(_)).then(|| {
        error("E0409", format!("'{name}' is text"))
            .at(call.span, "a model takes numbers")
            .help(format!("add the step tokenize({name}, length = 32), after 'split'"))
    })
}
