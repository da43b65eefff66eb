//! Byte-pair encoding (Gage 1994; Sennrich, Haddow and Birch 2016, over bytes as in GPT-2): the most frequent pair of
//! neighbours becomes a token, again and again. All 256 bytes are tokens, so that every text has an encoding.

use rustc_hash::{FxHashMap, FxHashSet};
use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

type Pair = (i32, i32);

/// The encoder remembers so many chunks.
const MOST_KNOWN: usize = 1 << 20;

/// The merges, in the order in which they were learnt.
#[derive(Clone, Debug)]
pub struct Pairs {
    /// The token that a pair becomes; a smaller number was merged earlier.
    merges: FxHashMap<Pair, i32>,
    /// The bytes of each token.
    pieces: Vec<Vec<u8>>,
}

impl Pairs {
    /// Merges until there are `most` tokens, or no pair comes twice.
    pub fn learn(texts: &mut dyn Iterator<Item = Cow<str>>, most: usize) -> Pairs {
        let mut counts: FxHashMap<String, i64> = FxHashMap::default();
        for text in texts {
            chunks(&text).for_each(|chunk| match counts.get_mut(chunk) {
                Some(count) => *count += 1,
                None => drop(counts.insert(chunk.into(), 1)),
            });
        }
        // Sorted: the order of a hash table shall not matter.
        let mut counted: Vec<(&str, i64)> = counts.iter().map(|(chunk, count)| (chunk.as_str(), *count)).collect();
        counted.sort_unstable();
        let mut trainer = Trainer::new(&counted);
        let mut pairs = Pairs { merges: FxHashMap::default(), pieces: (0..=255).map(|byte| vec![byte]).collect() };
        while pairs.pieces.len() < most {
            let Some(pair) = trainer.best() else { break };
            let token = pairs.pieces.len() as i32;
            let piece = [&pairs.pieces[pair.0 as usize][..], &pairs.pieces[pair.1 as usize]].concat();
            pairs.pieces.push(piece);
            pairs.merges.insert(pair, token);
            trainer.merge(pair, token);
        }
        pairs
    }

    pub fn pieces(&self) -> &[Vec<u8>] {
        &self.pieces
    }

    /// Encodes texts one after another.
    pub fn encoder(&self) -> impl FnMut(&str) -> Vec<i32> {
        // Few chunks make most of a text.
        let mut known: FxHashMap<String, Vec<i32>> = FxHashMap::default();
        move |text| {
            let mut out = vec![];
            for chunk in chunks(text) {
                if let Some(tokens) = known.get(chunk) {
                    out.extend(tokens);
                    continue;
                }
                let tokens = self.encode_chunk(chunk);
                out.extend(&tokens);
                if known.len() < MOST_KNOWN {
                    known.insert(chunk.into(), tokens);
                }
            }
            out
        }
    }

    /// Applies the merges in the order in which they were learnt.
    fn encode_chunk(&self, chunk: &str) -> Vec<i32> {
        let mut tokens: Vec<i32> = chunk.bytes().map(i32::from).collect();
        loop {
            let merged = tokens.windows(2).filter_map(|w| self.merges.get(&(w[0], w[1])).map(|t| (*t, (w[0], w[1]))));
            let Some((token, pair)) = merged.min() else { return tokens };
            replace(&mut tokens, pair, token);
        }
    }
}

/// Puts a token in the place of each occurrence of a pair, from the left.
fn replace(tokens: &mut Vec<i32>, pair: Pair, token: i32) {
    let (mut read, mut write) = (0, 0);
    while read < tokens.len() {
        let found = read + 1 < tokens.len() && (tokens[read], tokens[read + 1]) == pair;
        tokens[write] = if found { token } else { tokens[read] };
        read += if found { 2 } else { 1 };
        write += 1;
    }
    tokens.truncate(write);
}

/// Pieces within which pairs are merged: a run of letters, of digits or of other marks, each with the space before it;
/// or a run of spaces.
fn chunks(text: &str) -> impl Iterator<Item = &str> {
    #[derive(PartialEq, Clone, Copy)]
    enum Class {
        Letter,
        Digit,
        Space,
        Mark,
    }
    let class = |c: char| match c {
        c if c.is_alphabetic() => Class::Letter,
        c if c.is_numeric() => Class::Digit,
        c if c.is_whitespace() => Class::Space,
        _ => Class::Mark,
    };
    let mut rest = text;
    std::iter::from_fn(move || {
        let mut characters = rest.char_indices().map(|(at, c)| (at, c, class(c))).peekable();
        let (_, first, mut kind) = characters.next()?;
        if let Some((_, _, next)) = characters.peek()
            && first == ' '
            && *next != Class::Space
        {
            kind = *next;
        }
        let end = characters.find(|(_, _, other)| *other != kind).map_or(rest.len(), |(at, _, _)| at);
        // Long runs would make merging slow; nothing is learnt from them.
        let end = if end > 64 { (1..=64).rev().find(|at| rest.is_char_boundary(*at)).unwrap_or(end) } else { end };
        let (chunk, after) = rest.split_at(end);
        rest = after;
        Some(chunk)
    })
}

/// Counts of pairs, kept up to date while pairs are merged.
struct Trainer {
    /// Distinct chunks as tokens, and how often each comes.
    chunks: Vec<(Vec<i32>, i64)>,
    counts: FxHashMap<Pair, i64>,
    /// Chunks in which a pair was seen; some of them may have lost it.
    places: FxHashMap<Pair, FxHashSet<usize>>,
    /// The largest count first, then the smallest pair. Entries whose count has changed are skipped.
    queue: BinaryHeap<(i64, Reverse<Pair>)>,
}

impl Trainer {
    fn new(counted: &[(&str, i64)]) -> Trainer {
        let chunks = counted.iter().map(|(chunk, count)| (chunk.bytes().map(i32::from).collect(), *count)).collect();
        let mut trainer =
            Trainer { chunks, counts: FxHashMap::default(), places: FxHashMap::default(), queue: BinaryHeap::new() };
        for index in 0..trainer.chunks.len() {
            trainer.count(index, 1);
        }
        trainer.queue = trainer.counts.iter().map(|(pair, count)| (*count, Reverse(*pair))).collect();
        trainer
    }

    /// Adds the pairs of a chunk to the counts, or takes them away; returns them.
    fn count(&mut self, index: usize, sign: i64) -> Vec<Pair> {
        let (tokens, times) = &self.chunks[index];
        let pairs: Vec<Pair> = tokens.windows(2).map(|w| (w[0], w[1])).collect();
        for pair in &pairs {
            *self.counts.entry(*pair).or_default() += sign * times;
            if sign > 0 {
                self.places.entry(*pair).or_default().insert(index);
            }
        }
        pairs
    }

    /// The pair that comes most often, at least twice.
    fn best(&mut self) -> Option<Pair> {
        while let Some((count, Reverse(pair))) = self.queue.pop() {
            if count < 2 {
                return None;
            }
            if self.counts.get(&pair) == Some(&count) {
                return Some(pair);
            }
        }
        None
    }

    fn merge(&mut self, pair: Pair, token: i32) {
        let mut changed: FxHashSet<Pair> = FxHashSet::default();
        for index in self.places.remove(&pair).unwrap_or_default() {
            changed.extend(self.count(index, -1));
            replace(&mut self.chunks[index].0, pair, token);
            changed.extend(self.count(index, 1));
        }
        self.counts.remove(&pair);
        self.queue.extend(changed.iter().filter_map(|pair| Some((*self.counts.get(pair)?, Reverse(*pair)))));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of Sennrich, Haddow and Birch (2016, section 3.2): es, est, lo and low come first.
    #[test]
    fn frequent_pairs_are_merged_first() {
        let text = ["low "; 5].concat() + &["lower "; 2].concat() + &["newest "; 6].concat() + &["widest "; 3].concat();
        let pairs = Pairs::learn(&mut std::iter::once(text.as_str().into()), 262);
        let learnt: Vec<&str> =
            pairs.pieces()[256..].iter().map(|piece| std::str::from_utf8(piece).expect("ASCII")).collect();
        // Of equal counts the smaller pair comes first, whatever a hash table does.
        assert_eq!(learnt[..4], ["es", "est", "lo", "low"]);
    }

    /// The counts that are kept up to date choose what counting everything anew would choose.
    #[test]
    fn counts_stay_right() {
        let text = "she sells sea shells on the sea shore; the shells she sells are sea shells".repeat(2);
        let pairs = Pairs::learn(&mut std::iter::once(text.as_str().into()), 300);
        let mut slow: Vec<Vec<i32>> = chunks(&text).map(|c| c.bytes().map(i32::from).collect()).collect();
        let mut order: Vec<(i32, Pair)> = pairs.merges.iter().map(|(pair, token)| (*token, *pair)).collect();
        order.sort_unstable();
        for (token, pair) in order {
            let mut counts: std::collections::BTreeMap<Pair, i64> = Default::default();
            slow.iter().flat_map(|c| c.windows(2)).for_each(|w| *counts.entry((w[0], w[1])).or_default() += 1);
            let best = counts.iter().max_by_key(|(pair, count)| (**count, Reverse(**pair))).expect("pairs are left");
            assert_eq!(*best.0, pair);
            slow.iter_mut().for_each(|chunk| replace(chunk, pair, token));
        }
        assert_eq!(pairs.encoder()(&text), slow.concat());
    }

    #[test]
    fn chunks_join_up_to_the_text() {
        let text = format!(" a bc  12,5!?\n\nx{} é日", "y".repeat(200));
        let split: Vec<&str> = chunks(&text).collect();
        assert_eq!(split.concat(), text);
        assert_eq!(&split[..6], [" a", " bc", "  ", "12", ",", "5"]);
    }
}
