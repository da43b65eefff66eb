//! Tokens and their numbers.

use super::pairs::Pairs;
use rustc_hash::FxHashMap;
use std::borrow::Cow;

/// What counts as a token, before a text is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tokens {
    /// Every character of the text, in the order of their code points.
    Characters,
    /// Words, marks of punctuation and line ends, frequent ones first; at most so many, each seen at least so often.
    Words { most: usize },
    /// Runs of letters and digits in lower case, for tables; 0 fills up short rows.
    Plain { most: usize, at_least: usize },
    /// Pieces of words: byte pairs, merged until there are so many tokens.
    Pairs { most: usize },
    /// As `Pairs`; 0 fills up short rows.
    PaddedPairs { most: usize },
}

/// Text to numbers and back. Numbers are 0 to [`Vocabulary::len`] - 1.
#[derive(Clone, Debug)]
pub struct Vocabulary {
    tokens: Tokens,
    /// The text of each token; for byte pairs, its bytes.
    texts: Vec<Vec<u8>>,
    index: FxHashMap<Vec<u8>, i32>,
    pairs: Option<Pairs>,
    padding: Option<i32>,
    unknown: Option<i32>,
}

/// What words show that are not in the vocabulary.
const UNKNOWN: &str = "<unknown>";
const PADDING: &str = "<padding>";

impl Vocabulary {
    /// Learns the tokens of some texts.
    pub fn learn(tokens: Tokens, texts: &mut dyn Iterator<Item = Cow<str>>) -> Vocabulary {
        let mut made = Vocabulary {
            tokens,
            texts: vec![],
            index: FxHashMap::default(),
            pairs: None,
            padding: None,
            unknown: None,
        };
        match tokens {
            Tokens::Characters => {
                let mut characters = std::collections::BTreeSet::new();
                texts.for_each(|text| characters.extend(text.chars()));
                characters.into_iter().for_each(|c| made.add(c.to_string().as_bytes()));
            }
            Tokens::Words { most } => {
                made.unknown = Some(made.reserve(UNKNOWN));
                made.add_words(words_of(texts, all_words), most, 1);
            }
            Tokens::Plain { most, at_least } => {
                made.padding = Some(made.reserve(PADDING));
                made.unknown = Some(made.reserve(UNKNOWN));
                made.add_words(words_of(texts, plain_words), most, at_least);
            }
            Tokens::Pairs { most } | Tokens::PaddedPairs { most } => {
                if matches!(tokens, Tokens::PaddedPairs { .. }) {
                    made.padding = Some(made.reserve(PADDING));
                }
                let first = made.texts.len();
                let pairs = Pairs::learn(texts, most.saturating_sub(first));
                pairs.pieces().iter().for_each(|piece| made.texts.push(piece.clone()));
                made.pairs = Some(pairs);
            }
        }
        made
    }

    fn add(&mut self, text: &[u8]) {
        self.index.insert(text.to_vec(), self.texts.len() as i32);
        self.texts.push(text.to_vec());
    }

    /// A token that no text spells.
    fn reserve(&mut self, name: &str) -> i32 {
        self.texts.push(name.as_bytes().to_vec());
        self.texts.len() as i32 - 1
    }

    /// By falling count, then by the alphabet.
    fn add_words(&mut self, counts: FxHashMap<String, usize>, most: usize, at_least: usize) {
        let mut words: Vec<(String, usize)> = counts.into_iter().filter(|(_, count)| *count >= at_least).collect();
        words.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        words.truncate(most.saturating_sub(self.texts.len()));
        words.into_iter().for_each(|(word, _)| self.add(word.as_bytes()));
    }

    /// Number of tokens.
    #[allow(clippy::len_without_is_empty)] // never empty: the text it was learnt from is not
    pub fn len(&self) -> usize {
        self.texts.len()
    }

    /// The token that fills up short rows, where there is one.
    pub fn padding(&self) -> Option<i32> {
        self.padding
    }

    /// The token of words that are not in the vocabulary, where there is one.
    pub fn unknown(&self) -> Option<i32> {
        self.unknown
    }

    /// The numbers of a text's tokens. The error is the first character that is not in the vocabulary: only a
    /// vocabulary of characters lacks any.
    pub fn encode(&self, text: &str) -> Result<Vec<i32>, char> {
        match &self.pairs {
            Some(pairs) => Ok(self.shifted(pairs.encoder()(text))),
            None => self.encode_by_index(text),
        }
    }

    /// [`Vocabulary::encode`] for many texts.
    pub fn encoder(&self) -> impl FnMut(&str) -> Result<Vec<i32>, char> {
        let mut pairs = self.pairs.as_ref().map(Pairs::encoder);
        move |text| match &mut pairs {
            Some(encode) => Ok(self.shifted(encode(text))),
            None => self.encode_by_index(text),
        }
    }

    /// Byte pairs as tokens: behind the padding, where there is one.
    fn shifted(&self, pieces: Vec<i32>) -> Vec<i32> {
        let first = self.padding.map_or(0, |padding| padding + 1);
        pieces.into_iter().map(|piece| piece + first).collect()
    }

    fn encode_by_index(&self, text: &str) -> Result<Vec<i32>, char> {
        let word = |word: &str| self.index.get(word.as_bytes()).copied().or(self.unknown).unwrap_or_default();
        match self.tokens {
            Tokens::Characters => {
                // Most characters have small code points.
                let mut small = [-1; 256];
                for (c, number) in small.iter_mut().enumerate() {
                    let text = char::from(c as u8).to_string();
                    *number = self.index.get(text.as_bytes()).copied().unwrap_or(-1);
                }
                let number = |c: char| {
                    let found = match small.get(c as usize) {
                        Some(number) => Some(*number).filter(|n| *n >= 0),
                        None => self.index.get(c.to_string().as_bytes()).copied(),
                    };
                    found.ok_or(c)
                };
                text.chars().map(number).collect()
            }
            Tokens::Words { .. } => {
                let mut numbers = vec![];
                all_words(text, &mut |w| numbers.push(word(w)));
                Ok(numbers)
            }
            Tokens::Plain { .. } => {
                let mut numbers = vec![];
                plain_words(text, &mut |w| numbers.push(word(w)));
                Ok(numbers)
            }
            // Encoded by their pairs.
            Tokens::Pairs { .. } | Tokens::PaddedPairs { .. } => Ok(vec![]),
        }
    }

    /// The text of some tokens. Numbers outside the vocabulary are left out; bytes that are no character show as `�`.
    pub fn decode(&self, numbers: &[i32]) -> String {
        let spaced = matches!(self.tokens, Tokens::Words { .. } | Tokens::Plain { .. });
        let mut bytes: Vec<u8> = vec![];
        for number in numbers.iter().filter(|n| Some(**n) != self.padding) {
            let Some(text) = usize::try_from(*number).ok().and_then(|n| self.texts.get(n)) else { continue };
            let closing = matches!(text[..], [b'.' | b',' | b';' | b':' | b'!' | b'?' | b')' | b']' | b'}' | b'\n']);
            let opening = matches!(bytes.last(), None | Some(b'\n' | b'(' | b'[' | b'{'));
            if spaced && !closing && !opening {
                bytes.push(b' ');
            }
            bytes.extend(text);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The text of one token.
    pub fn token(&self, number: i32) -> String {
        let text = usize::try_from(number).ok().and_then(|n| self.texts.get(n));
        text.map_or(String::new(), |bytes| String::from_utf8_lossy(bytes).into_owned())
    }
}

/// Gives each word of a text to a function.
type Split = fn(&str, &mut dyn FnMut(&str));

/// How often each word comes.
fn words_of(texts: &mut dyn Iterator<Item = Cow<str>>, split: Split) -> FxHashMap<String, usize> {
    let mut counts: FxHashMap<String, usize> = FxHashMap::default();
    for text in texts {
        split(&text, &mut |word| match counts.get_mut(word) {
            Some(count) => *count += 1,
            None => drop(counts.insert(word.into(), 1)),
        });
    }
    counts
}

/// Runs of letters and digits (with `'` between two letters), each other mark by itself, and line ends; spaces only
/// separate.
fn all_words(text: &str, each: &mut dyn FnMut(&str)) {
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let mut end = c.len_utf8();
        if c.is_alphanumeric() {
            let mut characters = rest.char_indices().peekable();
            while let Some((at, c)) = characters.next() {
                let inner = c == '\'' && at > 0 && characters.peek().is_some_and(|(_, next)| next.is_alphabetic());
                if !c.is_alphanumeric() && !inner {
                    break;
                }
                end = at + c.len_utf8();
            }
        }
        if c == '\n' || !c.is_whitespace() {
            each(&rest[..end]);
        }
        rest = &rest[end..];
    }
}

/// Runs of letters and digits, in lower case.
fn plain_words(text: &str, each: &mut dyn FnMut(&str)) {
    let lower = text.to_lowercase();
    lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).for_each(each);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn learn(tokens: Tokens, text: &str) -> Vocabulary {
        Vocabulary::learn(tokens, &mut std::iter::once(text.into()))
    }

    #[test]
    fn characters_are_sorted_by_code_point() {
        let vocabulary = learn(Tokens::Characters, "b a é\nb");
        assert_eq!(vocabulary.len(), 5);
        assert_eq!(vocabulary.encode("\n ab é"), Ok(vec![0, 1, 2, 3, 1, 4]));
        assert_eq!(vocabulary.decode(&[3, 2, 99, -1, 4]), "baé");
        assert_eq!(vocabulary.encode("bad"), Err('d'));
        assert_eq!(vocabulary.encode("日"), Err('日'));
    }

    #[test]
    fn words_come_by_falling_count_then_the_alphabet() {
        let text = "the cat (the red cat) sees the dog's bone.\nthe end";
        let vocabulary = learn(Tokens::Words { most: 100 }, text);
        let numbers = vocabulary.encode(text).expect("words are never unknown");
        assert_eq!(vocabulary.token(1), "the");
        assert_eq!(vocabulary.token(2), "cat");
        assert_eq!(vocabulary.decode(&numbers), text);
        assert_eq!(vocabulary.encode("the zebra"), Ok(vec![1, 0]));
        let few = learn(Tokens::Words { most: 3 }, text);
        assert_eq!(few.len(), 3);
        assert_eq!(few.decode(&few.encode("the red cat").expect("as above")), "the <unknown> cat");
    }

    #[test]
    fn plain_words_have_no_marks() {
        let vocabulary = learn(Tokens::Plain { most: 10, at_least: 2 }, "Call NOW, call now! 50 off");
        assert_eq!(vocabulary.len(), 4);
        assert_eq!(vocabulary.encode("Now? Call 50"), Ok(vec![3, 2, 1]));
        assert_eq!((vocabulary.padding(), vocabulary.unknown()), (Some(0), Some(1)));
        assert_eq!(vocabulary.decode(&[2, 3, 0, 0]), "call now");
    }

    #[test]
    fn byte_pairs_spell_every_text() {
        let text = "low lower lowest newer newest wider widest ".repeat(20);
        let vocabulary = learn(Tokens::Pairs { most: 280 }, &text);
        let unseen = "the lowest 日本\t\u{1f600} text\n\n  here";
        for text in [text.as_str(), unseen, ""] {
            assert_eq!(vocabulary.decode(&vocabulary.encode(text).expect("bytes are always known")), text);
        }
        assert!(vocabulary.encode(&text).expect("as above").len() * 2 < text.len());
        let padded = learn(Tokens::PaddedPairs { most: 280 }, &text);
        let numbers = padded.encode(unseen).expect("as above");
        assert!(numbers.iter().all(|n| *n > 0 && (*n as usize) < padded.len()));
        assert_eq!(padded.decode(&[&numbers[..], &[0, 0]].concat()), unseen);
    }
}
