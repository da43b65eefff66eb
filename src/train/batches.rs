//! Which rows make which batch, and their values gathered ahead of time.
//!
//! Batches travel in blocks of up to [`BLOCK_BYTES`], so that a handover between threads is paid once for many small
//! batches. Where every step sees the same batch it is gathered once for the whole run.

use super::Rows;
use super::shuffle::{buffered, permutation};
use crate::data::Turn;
use crate::diag::Diagnostic;
use crate::ir::Type;
use crate::runtime::Tensor;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

const BLOCK_BYTES: usize = 256 << 10;
const BLOCK_BATCHES: usize = 64;

/// How an epoch's rows are cut into batches.
#[derive(Clone, Debug, PartialEq)]
pub struct Layout {
    pub rows: usize,
    pub batch: usize,
    pub seed: u64,
    pub shuffle: bool,
    /// The same row differs from epoch to epoch.
    pub varies: bool,
    /// The order is drawn from a buffer of so many rows.
    pub buffer: Option<usize>,
}

impl Layout {
    /// The last batch of an epoch may have fewer rows.
    pub fn batches(&self) -> usize {
        self.rows.div_ceil(self.batch)
    }

    pub fn rows_of(&self, index: usize) -> usize {
        self.batch.min(self.rows - index * self.batch)
    }

    /// With one batch an epoch, the order of its rows means nothing: all steps share the batch, unless rows differ.
    pub fn is_constant(&self) -> bool {
        self.batches() == 1 && !self.varies
    }

    /// The rows of an epoch in their order. Epochs count from 1.
    pub fn order(&self, epoch: usize) -> Vec<u32> {
        if self.shuffle && !self.is_constant() {
            match self.buffer {
                Some(buffer) => buffered(self.rows, buffer, self.seed, epoch as u64),
                None => permutation(self.rows, self.seed, epoch as u64),
            }
        } else {
            (0..self.rows as u32).collect()
        }
    }
}

/// Some consecutive batches of an epoch, all with the same number of rows.
pub struct Block {
    pub rows: usize,
    /// One tensor a column for each batch; only the first `filled` batches hold values.
    pub batches: Vec<Vec<Tensor>>,
    pub filled: usize,
}

/// The type of a column's part of a batch: `row` is one row's.
#[derive(Clone, Debug)]
pub struct ColumnType {
    pub name: String,
    pub row: Type,
}

impl ColumnType {
    pub fn tensor(&self, rows: usize) -> Tensor {
        let mut shape = vec![rows];
        shape.extend(&self.row.shape);
        Tensor::zeros(Type::new(self.row.dtype, shape))
    }
}

/// Gathers blocks in order, from a place in an epoch to the end of time.
pub struct Gatherer<'a> {
    data: &'a dyn Rows,
    layout: Layout,
    columns: Vec<ColumnType>,
    epoch: usize,
    index: usize,
    order: Vec<u32>,
    /// How often the buffer of this epoch was filled.
    filled: usize,
}

impl<'a> Gatherer<'a> {
    /// Starts at batch `index` of `epoch`.
    pub fn new(data: &'a dyn Rows, layout: Layout, columns: Vec<ColumnType>, epoch: usize, index: usize) -> Self {
        let order = layout.order(epoch);
        Gatherer { data, layout, columns, epoch, index, order, filled: 0 }
    }

    /// Fills the buffer, before the rows at these places of the order are taken from it.
    fn fill(&mut self, from: usize, to: usize) -> Result<(), Diagnostic> {
        let Some(buffer) = self.layout.buffer.filter(|_| self.layout.shuffle) else { return Ok(()) };
        for rows in self.order.chunks(buffer).take(to.div_ceil(buffer)).skip(self.filled.max(from / buffer)) {
            self.data.warm(rows)?;
        }
        self.filled = to.div_ceil(buffer);
        Ok(())
    }

    /// How many batches of `rows` rows a block holds.
    fn capacity(&self, rows: usize) -> usize {
        let row_bytes: usize = self.columns.iter().map(|c| c.row.bytes()).sum();
        (BLOCK_BYTES / (rows * row_bytes).max(1)).clamp(1, BLOCK_BATCHES)
    }

    /// The next block, in the memory of `used` where that fits. Fails if the data can no longer be read.
    pub fn next(&mut self, used: Option<Block>) -> Result<Block, Diagnostic> {
        if self.index == self.layout.batches() {
            self.epoch += 1;
            self.index = 0;
            self.filled = 0;
            if self.layout.shuffle {
                self.order = self.layout.order(self.epoch);
            }
        }
        let rows = self.layout.rows_of(self.index);
        let mut block = used.filter(|b| b.rows == rows).unwrap_or(Block { rows, batches: vec![], filled: 0 });
        block.filled = 0;
        let capacity = self.capacity(rows);
        while block.filled < capacity && self.index < self.layout.batches() && self.layout.rows_of(self.index) == rows {
            if block.batches.len() == block.filled {
                block.batches.push(self.columns.iter().map(|c| c.tensor(rows)).collect());
            }
            let from = self.index * self.layout.batch;
            let drawn = self.fill(from, from + rows).and_then(|()| {
                let picked = &self.order[from..from + rows];
                let turn = Turn { seed: self.layout.seed, epoch: self.epoch as u64 };
                let mut columns = self.columns.iter().zip(&mut block.batches[block.filled]);
                columns.try_for_each(|(column, tensor)| self.data.draw(turn, &column.name, picked, tensor))
            });
            match drawn {
                Ok(()) => {}
                // The batches before can still be used; the next call fails.
                Err(_) if block.filled > 0 => break,
                Err(lost) => return Err(lost),
            }
            block.filled += 1;
            self.index += 1;
        }
        Ok(block)
    }
}

/// Blocks in order, gathered here or on another thread.
pub enum Feed<'a> {
    Inline(Box<Gatherer<'a>>),
    Ahead { full: Receiver<Result<Block, Diagnostic>>, empty: SyncSender<Block> },
}

impl<'a> Feed<'a> {
    pub fn inline(gatherer: Gatherer<'a>) -> Feed<'a> {
        Feed::Inline(Box::new(gatherer))
    }

    /// Gathers on a thread of `scope`, which ends when the feed is dropped.
    pub fn ahead<'scope>(scope: &'scope std::thread::Scope<'scope, 'a>, mut gatherer: Gatherer<'a>) -> Feed<'a> {
        // One block is being computed on, one waits, one is being filled.
        let (full_in, full) = sync_channel(1);
        let (empty, empty_out) = sync_channel::<Block>(4);
        scope.spawn(move || {
            loop {
                let block = gatherer.next(empty_out.try_recv().ok());
                let failed = block.is_err();
                if full_in.send(block).is_err() || failed {
                    return;
                }
            }
        });
        Feed::Ahead { full, empty }
    }

    /// The next block; `used` is the memory of one that was worked through.
    pub fn next(&mut self, used: Option<Block>) -> Result<Block, Diagnostic> {
        match self {
            Feed::Inline(gatherer) => gatherer.next(used),
            Feed::Ahead { full, empty } => {
                if let Some(used) = used {
                    // A full or closed channel only means that the memory is not reused.
                    let _ = empty.try_send(used);
                }
                full.recv().expect("the gathering thread lives as long as its feed, unless it failed or panicked")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::DType;

    struct Squares;

    impl Rows for Squares {
        fn gather(&self, test: bool, column: &str, rows: &[u32], out: &mut Tensor) -> Result<(), Diagnostic> {
            assert!(!test && column == "x");
            for (value, row) in out.f32s_mut().iter_mut().zip(rows) {
                *value = (row * row) as f32;
            }
            Ok(())
        }
    }

    fn values(layout: &Layout, blocks: usize, ahead: bool) -> Vec<Vec<f64>> {
        let columns = vec![ColumnType { name: "x".into(), row: Type::scalar(DType::F32) }];
        let gatherer = Gatherer::new(&Squares, layout.clone(), columns, 1, 0);
        std::thread::scope(|scope| {
            let mut feed = if ahead { Feed::ahead(scope, gatherer) } else { Feed::inline(gatherer) };
            let mut used = None;
            let mut seen = vec![];
            for _ in 0..blocks {
                let block = feed.next(used.take()).unwrap();
                seen.extend(block.batches[..block.filled].iter().map(|b| b[0].to_f64s()));
                used = Some(block);
            }
            seen
        })
    }

    #[test]
    fn an_epoch_ends_with_a_partial_batch() {
        let layout = Layout { rows: 5, batch: 2, seed: 1, shuffle: false, varies: false, buffer: None };
        let seen = values(&layout, 4, false);
        let epoch = [vec![0.0, 1.0], vec![4.0, 9.0], vec![16.0]];
        assert_eq!(seen, [&epoch[..], &epoch[..]].concat());
    }

    #[test]
    fn gathering_ahead_gives_the_same_batches() {
        let layout = Layout { rows: 53, batch: 8, seed: 9, shuffle: true, varies: false, buffer: None };
        let seen = values(&layout, 6, true);
        assert_eq!(seen, values(&layout, 6, false));
        let epoch: f64 = seen[..7].iter().flatten().sum();
        assert_eq!(epoch, (0..53).map(|i| (i * i) as f64).sum::<f64>());
        assert_ne!(seen[0], seen[7], "each epoch has its own order");
    }
}
