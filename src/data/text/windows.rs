//! Rows that overlap in one array of tokens.

use super::super::Turn;
use std::sync::Arc;

/// Windows of equal length over the train part of a text, and over its test part.
#[derive(Clone, Debug)]
pub struct Windows {
    /// Train part, then test part.
    tokens: Arc<[i32]>,
    /// Tokens of the train part.
    train: usize,
    context: usize,
    /// Distance of the train windows; without it they lie anywhere, in each epoch elsewhere.
    stride: Option<usize>,
    /// How many tokens later the rows begin: 1 for those to be guessed.
    shift: usize,
}

impl Windows {
    pub fn new(train: Vec<i32>, test: Vec<i32>, context: usize, stride: Option<usize>) -> Windows {
        let length = train.len();
        let mut tokens = train;
        tokens.extend(test);
        Windows { tokens: tokens.into(), train: length, context, stride, shift: 0 }
    }

    pub fn shifted(&self, shift: usize) -> Windows {
        Windows { shift, ..self.clone() }
    }

    /// As many as fit at the stride; where they lie anywhere, as many as fit side by side.
    pub fn train_rows(&self) -> usize {
        count(self.train, self.context, self.stride.unwrap_or(self.context))
    }

    /// Test windows lie side by side.
    pub fn test_rows(&self) -> usize {
        count(self.tokens.len() - self.train, self.context, self.context)
    }

    /// Whether an epoch has other windows than the one before.
    pub fn is_random(&self) -> bool {
        self.stride.is_none()
    }

    /// The tokens of a row: train rows are counted first.
    pub fn row(&self, row: usize, turn: Option<Turn>) -> &[i32] {
        let train_rows = self.train_rows();
        let from = if row >= train_rows {
            self.train + (row - train_rows) * self.context
        } else {
            match (self.stride, turn) {
                (Some(stride), _) => row * stride,
                (None, None) => row * self.context,
                (None, Some(turn)) => turn.of_row(row).below(self.train - self.context),
            }
        };
        &self.tokens[from + self.shift..][..self.context]
    }
}

/// Windows of `context` tokens and one more, at each multiple of `stride`.
fn count(tokens: usize, context: usize, stride: usize) -> usize {
    match tokens.checked_sub(context + 1) {
        Some(last) => last / stride + 1,
        None => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn windows(stride: Option<usize>) -> Windows {
        Windows::new((0..10).collect(), (10..17).collect(), 3, stride)
    }

    #[test]
    fn windows_lie_at_the_stride() {
        let text = windows(Some(2));
        assert_eq!((text.train_rows(), text.test_rows()), (4, 2));
        let rows: Vec<_> = (0..6).map(|row| text.row(row, None)).collect();
        assert_eq!(rows, [[0, 1, 2], [2, 3, 4], [4, 5, 6], [6, 7, 8], [10, 11, 12], [13, 14, 15]]);
        assert_eq!(text.shifted(1).row(3, None), [7, 8, 9]);
        assert_eq!(text.shifted(1).row(5, None), [14, 15, 16]);
    }

    #[test]
    fn windows_without_a_stride_lie_anywhere_in_the_train_part() {
        let text = windows(None);
        assert_eq!(text.train_rows(), 3);
        let mut starts = std::collections::BTreeSet::new();
        for epoch in 1..200 {
            let turn = Turn { seed: 7, epoch };
            for row in 0..3 {
                let (now, next) = (text.row(row, Some(turn)), text.shifted(1).row(row, Some(turn)).to_vec());
                assert_eq!((now[0] + 1, now[2] + 1), (next[0], next[2]));
                assert!(next[2] < 10);
                starts.insert(now[0]);
            }
        }
        assert!(starts.into_iter().eq(0..7), "every start comes up");
    }
}
