//! Pooling: windows over the spatial axes of channels-last values.
//!
//! Work is cut by images of the batch, so that no two tasks add to one place, whatever windows overlap.

use crate::ir::window::Grid;
use crate::ir::{DType, Graph, NodeId, PoolKind, Window};
use crate::runtime::pool::Pool;

/// A prepared pooling.
#[derive(Clone, Debug)]
pub struct Pooling {
    kind: PoolKind,
    dtype: DType,
    grid: Grid,
    /// Elements of an image that each window covers, relative to the image: window by window, `None` left out.
    places: Vec<u32>,
    /// For each window, the end of its places.
    ends: Vec<u32>,
}

impl Pooling {
    pub fn new(graph: &Graph, id: NodeId, kind: PoolKind, window: &Window) -> Pooling {
        let node = graph.node(id);
        let operand = |k: usize| graph.ty(node.args[k]);
        let (image, result) = match kind {
            PoolKind::Sum | PoolKind::Max | PoolKind::Pick => (operand(0), &node.ty),
            PoolKind::Spread => (&node.ty, operand(0)),
            PoolKind::Scatter => (operand(0), operand(1)),
        };
        let grid = Grid::new(window, 1, image, result);
        let (mut places, mut ends) = (vec![], vec![]);
        for position in 0..grid.window_count() {
            places.extend((0..grid.window_elements()).filter_map(|k| grid.pixel(position, k)).map(|p| p as u32));
            ends.push(places.len() as u32);
        }
        Pooling { kind, dtype: node.ty.dtype, grid, places, ends }
    }

    /// # Safety
    /// See [`super::Call::run`].
    pub unsafe fn run(&self, pool: &Pool, args: &[*mut u8], out: *mut u8) {
        // SAFETY: the caller's promise; the pointers have the element type.
        unsafe {
            match self.dtype {
                DType::F64 => self.typed::<f64>(pool, args, out),
                _ => self.typed::<f32>(pool, args, out),
            }
        }
    }

    /// # Safety
    /// See [`super::Call::run`]; the elements are of type `T`.
    unsafe fn typed<T: Float>(&self, pool: &Pool, args: &[*mut u8], out: *mut u8) {
        let grid = &self.grid;
        let image = grid.image_elements() * grid.channels;
        let result = grid.window_count() * grid.channels;
        let (first, second, made) = match self.kind {
            PoolKind::Sum | PoolKind::Max => (image, 0, result),
            PoolKind::Spread => (result, 0, image),
            PoolKind::Pick => (image, image, result),
            PoolKind::Scatter => (image, result, image),
        };
        let (a, b, out) = (args[0] as usize, args.get(1).map_or(0, |p| *p as usize), out as usize);
        pool.run(grid.batch, &|n, _| {
            // SAFETY: each task reads and writes the parts of its image, inside the values.
            unsafe {
                let x = std::slice::from_raw_parts((a as *const T).add(n * first), first);
                let y: &[T] = match second {
                    0 => &[],
                    _ => std::slice::from_raw_parts((b as *const T).add(n * second), second),
                };
                let out = std::slice::from_raw_parts_mut((out as *mut T).add(n * made), made);
                self.image(x, y, out);
            }
        });
    }

    /// One image of the batch.
    fn image<T: Float>(&self, x: &[T], y: &[T], out: &mut [T]) {
        let channels = self.grid.channels;
        let row = |pixel: u32| pixel as usize * channels..(pixel as usize + 1) * channels;
        if matches!(self.kind, PoolKind::Spread | PoolKind::Scatter) {
            out.fill(T::ZERO);
        }
        let mut start = 0;
        for (position, end) in self.ends.iter().enumerate() {
            let places = &self.places[start as usize..*end as usize];
            start = *end;
            let mine = row(position as u32);
            match self.kind {
                PoolKind::Sum => {
                    let sums = &mut out[mine];
                    sums.fill(T::ZERO);
                    for place in places {
                        sums.iter_mut().zip(&x[row(*place)]).for_each(|(s, v)| *s = *s + *v);
                    }
                }
                PoolKind::Spread => {
                    for place in places {
                        out[row(*place)].iter_mut().zip(&x[mine.clone()]).for_each(|(s, v)| *s = *s + *v);
                    }
                }
                PoolKind::Max => {
                    let best = &mut out[mine];
                    best.fill(T::LOWEST);
                    for place in places {
                        best.iter_mut().zip(&x[row(*place)]).for_each(|(m, v)| *m = m.larger(*v));
                    }
                }
                PoolKind::Pick | PoolKind::Scatter => {
                    for c in 0..channels {
                        let value = |place: u32| x[place as usize * channels + c];
                        let first = |best: u32, place: u32| {
                            let (old, new) = (value(best), value(place));
                            if new > old || (new.is_nan() && !old.is_nan()) { place } else { best }
                        };
                        let first = places.iter().copied().reduce(first).map(|p| p as usize * channels + c);
                        let at = position * channels + c;
                        match (self.kind, first) {
                            (PoolKind::Pick, place) => out[at] = place.map_or(T::ZERO, |p| y[p]),
                            (_, Some(place)) => out[place] = out[place] + y[at],
                            (_, None) => {}
                        }
                    }
                }
            }
        }
    }
}

/// The element types.
trait Float: Copy + PartialOrd + Send + Sync + std::ops::Add<Output = Self> {
    const ZERO: Self;
    const LOWEST: Self;

    fn is_nan(self) -> bool;
    /// NaN if either is.
    fn larger(self, other: Self) -> Self;
}

macro_rules! floats {
    ($($t:ident),*) => {$(
        impl Float for $t {
            const ZERO: $t = 0.0;
            const LOWEST: $t = $t::NEG_INFINITY;

            fn is_nan(self) -> bool {
                self.is_nan()
            }

            fn larger(self, other: $t) -> $t {
                if other > self || other.is_nan() { other } else { self }
            }
        }
    )*};
}
floats!(f32, f64);
