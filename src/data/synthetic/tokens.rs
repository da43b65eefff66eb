//! `synthetic.tokens`: sequences in which each token often decides the next, for models of language.

use super::super::args::{Args, Fallible};
use super::super::random::Random;
use super::super::spec::Call;
use super::super::table::{Read, Stored, Table, Values};
use super::sizes;

/// `token: int[length]` and `next: int[length]`, the same sequence one place later: a token is followed by 5 token + 1
/// (modulo the vocabulary) with the probability `order`, else by any.
pub fn tokens(call: &Call, read: Read) -> Fallible<Table> {
    let args = Args::new(call, &["train", "test", "length", "vocabulary", "order", "seed"])?;
    let length = args.int("length", 64, 1, 1 << 20)? as usize;
    let vocabulary = args.int("vocabulary", 65, 1, 1 << 24)? as usize;
    let order = args.float("order", 0.5, 0.0, 1.0)?;
    let seed = args.seed(1)?;
    let (train, test) = sizes(&args, ("train", 1000), 0, length)?;
    let (mut token, mut next) = (Values::Unread, Values::Unread);
    if read == Read::All {
        let count = (train + test) * length;
        let (mut tokens, mut nexts) = (Vec::with_capacity(count), Vec::with_capacity(count));
        for row in 0..train + test {
            let mut random = Random::new(seed, row as u64);
            let mut current = random.below(vocabulary);
            for _ in 0..length {
                tokens.push(current as i32);
                let any = random.below(vocabulary);
                current = if random.unit() < order { (5 * current + 1) % vocabulary } else { any };
                nexts.push(current as i32);
            }
        }
        (token, next) = (Values::I32(tokens), Values::I32(nexts));
    }
    let column = |name, values| Stored::new(name, false, vec![length], Some(vocabulary), values);
    Ok(Table::new(vec![column("token", token), column("next", next)], train, test))
}
