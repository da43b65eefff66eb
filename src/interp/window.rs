//! Convolution and pooling, element by element.

use super::value::Value;
use crate::ir::window::Grid;
use crate::ir::{ConvPart, PoolKind, Type, Window};

/// The sum over all triples of image, kernel and result that meet goes to the computed one, in double precision.
pub fn conv(part: ConvPart, window: &Window, groups: usize, args: &[&Value], ty: &Type) -> Value {
    let (first, second) = (args[0].to_f64s(), args[1].to_f64s());
    let (image, result) = match part {
        ConvPart::Result => (args[0].ty(), ty.clone()),
        ConvPart::Image => (ty.clone(), args[0].ty()),
        ConvPart::Kernel => (args[0].ty(), args[1].ty()),
    };
    let grid = Grid::new(window, groups, &image, &result);
    let (inner, outer) = (grid.channels / groups, grid.outputs / groups);
    let mut out = vec![0.0; ty.elements()];
    for n in 0..grid.batch {
        for position in 0..grid.window_count() {
            for k in 0..grid.window_elements() {
                let Some(pixel) = grid.pixel(position, k) else { continue };
                for o in 0..grid.outputs {
                    let y = (n * grid.window_count() + position) * grid.outputs + o;
                    for c in 0..inner {
                        let x = (n * grid.image_elements() + pixel) * grid.channels + o / outer * inner + c;
                        let w = (k * inner + c) * grid.outputs + o;
                        match part {
                            ConvPart::Result => out[y] += first[x] * second[w],
                            ConvPart::Image => out[x] += first[y] * second[w],
                            ConvPart::Kernel => out[w] += first[x] * second[y],
                        }
                    }
                }
            }
        }
    }
    Value::from_f64s(ty, &out)
}

pub fn pool(kind: PoolKind, window: &Window, args: &[&Value], ty: &Type) -> Value {
    let x = args[0].to_f64s();
    let other = args.get(1).map_or(vec![], |v| v.to_f64s());
    let (image, result) = match kind {
        PoolKind::Sum | PoolKind::Max | PoolKind::Pick => (args[0].ty(), ty.clone()),
        PoolKind::Spread => (ty.clone(), args[0].ty()),
        PoolKind::Scatter => (args[0].ty(), args[1].ty()),
    };
    let grid = Grid::new(window, 1, &image, &result);
    let mut out = vec![0.0; ty.elements()];
    for n in 0..grid.batch {
        for position in 0..grid.window_count() {
            for c in 0..grid.channels {
                let y = (n * grid.window_count() + position) * grid.channels + c;
                let at = |k| grid.pixel(position, k).map(|p| (n * grid.image_elements() + p) * grid.channels + c);
                let covered = (0..grid.window_elements()).filter_map(at);
                match kind {
                    PoolKind::Sum => out[y] = covered.map(|i| x[i]).sum(),
                    PoolKind::Spread => covered.for_each(|i| out[i] += x[y]),
                    PoolKind::Max | PoolKind::Pick | PoolKind::Scatter => {
                        let larger = |best: usize, i: usize| {
                            if !x[best].is_nan() && (x[i] > x[best] || x[i].is_nan()) { i } else { best }
                        };
                        match (kind, covered.reduce(larger)) {
                            (PoolKind::Max, first) => out[y] = first.map_or(f64::NEG_INFINITY, |i| x[i]),
                            (PoolKind::Pick, first) => out[y] = first.map_or(0.0, |i| other[i]),
                            (_, Some(first)) => out[first] += other[y],
                            (_, None) => {}
                        }
                    }
                }
            }
        }
    }
    Value::from_f64s(ty, &out)
}
