//! Calls of convolution and pooling: their settings, and whether the window fits.

use super::apply::Argument;
use super::builtin::Taker;
use super::ops::Operand;
use super::{Elab, Failed, R};
use crate::diag::error;
use crate::ir::op::Hint;
use crate::ir::window::MOST_AXES;
use crate::ir::{ConvPart, Op, PoolKind, Window};
use crate::sema::builtins::Builtin;
use crate::sema::value::{Tensor, Value};
use crate::source::Span;

/// What `padding` says.
enum Padding {
    Same,
    /// Low and high, one for each axis.
    Given(Vec<usize>, Vec<usize>),
}

impl Elab<'_> {
    /// `conv(x [N, spatial.., C], w [size.., C / groups, O], …)`, or its transpose.
    pub(super) fn conv(&mut self, b: Builtin, transposed: bool, args: Vec<Argument>, span: Span) -> R<Value> {
        let names: &'static [&'static str] = if transposed {
            &["x", "w", "stride", "padding", "output_padding", "dilation", "groups"]
        } else {
            &["x", "w", "stride", "padding", "dilation", "groups"]
        };
        let mut t = self.take(b, args, names, span)?;
        let (x, x_at) = self.float_operand(&mut t)?;
        let (w, w_at) = self.float_operand(&mut t)?;
        let (shape, kernel) = (self.shape_of(x)?, self.shape_of(w)?);
        let axes = self.spatial_axes(b, &shape, x_at)?;
        if kernel.len() != shape.len() {
            return Err(self.fail(
                error("E0203", format!("'{}' of {shape:?} with a kernel {kernel:?}", b.name()))
                    .at(w_at, format!("needs {} axes: a size for each spatial axis, channels in and out", shape.len()))
                    .at(x_at, format!("has {axes} spatial axes")),
            ));
        }
        if let Some(axis) = kernel[..axes].iter().position(|n| *n == 0) {
            return Err(self.misfit(format!("a kernel {kernel:?} of size 0 along axis {axis}"), w_at, "here"));
        }
        let stride = self.sizes(&mut t, axes, Some(1), 1)?;
        let padding = self.padding(&mut t, axes)?;
        let extra = if transposed { self.sizes(&mut t, axes, Some(0), 0)? } else { vec![0; axes] };
        let dilation = self.sizes(&mut t, axes, Some(1), 1)?;
        let groups = self.sizes(&mut t, 1, Some(1), 1)?[0];
        let size = kernel[..axes].to_vec();
        let mut window = Window { size, stride, low: vec![0; axes], high: vec![0; axes], dilation };

        // For the transpose, the channels of x are those that the convolution the other way gives.
        let (inner, outer) = (kernel[axes], kernel[axes + 1]);
        let channels = shape[axes + 1];
        if !transposed && !channels.is_multiple_of(groups) {
            let text = format!("{channels} channels do not divide into {groups} groups");
            return Err(self.misfit(text, x_at, format!("{shape:?} has {channels} channels")));
        }
        let wanted = if transposed { outer } else { inner.saturating_mul(groups) };
        if shape[axes + 1] != wanted {
            let each = if groups == 1 { String::new() } else { format!(" in {groups} groups") };
            let says =
                if transposed { format!("takes {outer} channels") } else { format!("takes {inner} channels{each}") };
            return Err(self.fail(
                error("E0203", format!("'{}' of {} channels with a kernel for {wanted}", b.name(), shape[axes + 1]))
                    .at(x_at, format!("{shape:?} has {} channels", shape[axes + 1]))
                    .at(w_at, format!("{kernel:?} {says}")),
            ));
        }
        if !outer.is_multiple_of(groups) {
            let text = format!("{outer} channels do not divide into {groups} groups");
            return Err(self.misfit(text, w_at, format!("{kernel:?} has {outer} in its last axis")));
        }
        if !transposed {
            self.place_window(&mut window, padding, &shape, b, span)?;
            return self.push_part(ConvPart::Result, window, groups, [x, w], None, span);
        }
        let mut image = vec![shape[0]];
        for axis in 0..axes {
            let (reach, stride, n) = (window.reach(axis), window.stride[axis], shape[axis + 1]);
            let extra = match &padding {
                Padding::Same => {
                    let total = reach.saturating_sub(stride);
                    (window.low[axis], window.high[axis]) = (total / 2, total - total / 2);
                    stride.saturating_sub(reach)
                }
                Padding::Given(low, high) => {
                    (window.low[axis], window.high[axis]) = (low[axis], high[axis]);
                    extra[axis]
                }
            };
            if extra >= stride && extra > 0 {
                let text = format!("an output padding of {extra} with stride {stride}");
                return Err(self.misfit(
                    text,
                    span,
                    "must be less than the stride: it tells apart the sizes that the stride rounds down",
                ));
            }
            let reached = n.saturating_sub(1).saturating_mul(stride).saturating_add(reach).saturating_add(extra);
            let cut = window.low[axis].saturating_add(window.high[axis]);
            let size = reached.checked_sub(cut).filter(|size| *size > 0 && n > 0);
            let Some(size) = size else {
                let text = format!("padding cuts {cut} of {reached} elements along spatial axis {axis}");
                return Err(self.misfit(text, span, "nothing is left"));
            };
            image.push(size);
        }
        image.push(inner.saturating_mul(groups));
        self.push_part(ConvPart::Image, window, groups, [x, w], Some(image), span)
    }

    /// `window_sum(x, size, …)` and `window_max`.
    pub(super) fn window(&mut self, b: Builtin, kind: PoolKind, args: Vec<Argument>, span: Span) -> R<Value> {
        let mut t = self.take(b, args, &["x", "size", "stride", "padding", "dilation"], span)?;
        let (x, x_at) = self.float_operand(&mut t)?;
        let shape = self.shape_of(x)?;
        let axes = self.spatial_axes(b, &shape, x_at)?;
        let size = self.sizes(&mut t, axes, None, 1)?;
        let stride = match self.optional(&mut t) {
            Some(arg) => self.sizes_of(&Operand { value: arg.value, span: arg.span }, axes, 1, "stride")?,
            None => size.clone(),
        };
        let padding = self.padding(&mut t, axes)?;
        let dilation = self.sizes(&mut t, axes, Some(1), 1)?;
        let mut window = Window { size, stride, low: vec![0; axes], high: vec![0; axes], dilation };
        self.place_window(&mut window, padding, &shape, b, span)?;
        let outside = |axis: usize| window.low[axis].max(window.high[axis]) >= window.reach(axis);
        if let Some(axis) = (0..axes).find(|axis| outside(*axis)) {
            let (low, high, reach) = (window.low[axis], window.high[axis], window.reach(axis));
            let text =
                format!("padding [{low}, {high}] with a window that reaches over {reach}, along spatial axis {axis}");
            return Err(self.misfit(text, span, "a window would lie outside of the image"));
        }
        let made = self.graph.try_push(Op::Pool { kind, window: Box::new(window) }, &[x.node], Hint::default(), span);
        self.window_value(made, b.name(), span)
    }

    fn push_part(
        &mut self,
        part: ConvPart,
        window: Window,
        groups: usize,
        args: [Tensor; 2],
        shape: Option<Vec<usize>>,
        span: Span,
    ) -> R<Value> {
        let op = Op::Conv { part, window: Box::new(window), groups };
        let made = self.graph.try_push(op, &args.map(|a| a.node), Hint { dtype: None, shape }, span);
        self.window_value(made, part.name(), span)
    }

    fn window_value<E: std::fmt::Display>(
        &mut self,
        made: Result<crate::ir::NodeId, E>,
        name: &str,
        at: Span,
    ) -> R<Value> {
        match made {
            Ok(node) => Ok(Value::Tensor(Tensor::plain(node))),
            Err(why) => {
                let why = self.in_users_types(&why.to_string());
                Err(self.fail(error("E0203", format!("'{name}' does not fit: {why}")).at(at, "here")))
            }
        }
    }

    /// A float tensor.
    fn float_operand(&mut self, t: &mut Taker) -> R<(Tensor, Span)> {
        let x = self.required(t)?;
        let tensor = self.tensor_of_type(x.value, self.float, x.span)?;
        Ok((tensor, x.span))
    }

    /// How many axes of `[N, spatial.., C]` are spatial.
    fn spatial_axes(&mut self, b: Builtin, shape: &[usize], at: Span) -> R<usize> {
        match shape.len().checked_sub(2) {
            Some(axes) if (1..=MOST_AXES).contains(&axes) => Ok(axes),
            _ => Err(self.fail(
                error("E0203", format!("'{}' of a tensor of shape {shape:?}", b.name()))
                    .at(at, "expected [N, L, C], [N, H, W, C] or [N, D, H, W, C]"),
            )),
        }
    }

    fn misfit(&mut self, text: String, at: Span, label: impl Into<String>) -> Failed {
        self.fail(error("E0221", text).at(at, label.into()))
    }

    /// The next argument: one size for all axes or one for each.
    fn sizes(&mut self, t: &mut Taker, axes: usize, default: Option<usize>, least: usize) -> R<Vec<usize>> {
        let name = t.next_name();
        match default {
            Some(default) => match self.optional(t) {
                Some(arg) => self.sizes_of(&Operand { value: arg.value, span: arg.span }, axes, least, name),
                None => Ok(vec![default; axes]),
            },
            None => {
                let given = self.required(t)?;
                self.sizes_of(&given, axes, least, name)
            }
        }
    }

    fn sizes_of(&mut self, given: &Operand, axes: usize, least: usize, name: &str) -> R<Vec<usize>> {
        let ints = self.int_list(given)?;
        let ints = if matches!(given.value, Value::List(_)) { ints } else { vec![ints[0]; axes] };
        if ints.len() != axes {
            let text = format!("{} sizes for {axes} spatial axes: '{name}'", ints.len());
            return Err(self.misfit(text, given.span, "one for all, or one for each"));
        }
        let sizes: Option<Vec<usize>> =
            ints.iter().map(|v| usize::try_from(*v).ok().filter(|size| *size >= least)).collect();
        sizes.ok_or_else(|| self.misfit(format!("'{name}' is at least {least}"), given.span, format!("{ints:?}")))
    }

    fn padding(&mut self, t: &mut Taker, axes: usize) -> R<Padding> {
        let Some(arg) = self.optional(t) else { return Ok(Padding::Given(vec![0; axes], vec![0; axes])) };
        let given = Operand { value: arg.value, span: arg.span };
        match &given.value {
            Value::Str(word) if &**word == "same" => Ok(Padding::Same),
            Value::Str(word) if &**word == "valid" => Ok(Padding::Given(vec![0; axes], vec![0; axes])),
            Value::Str(word) => {
                Err(self.misfit(format!("padding '{word}'"), given.span, "expected \"same\", \"valid\", or numbers"))
            }
            Value::List(items) if items.iter().any(|i| matches!(i, Value::List(_))) => {
                let (mut low, mut high) = (vec![], vec![]);
                for item in items.iter() {
                    let pair = Operand { value: item.clone(), span: given.span };
                    let pair = self.sizes_of(&pair, 2, 0, "padding")?;
                    low.push(pair[0]);
                    high.push(pair[1]);
                }
                if low.len() != axes {
                    let text = format!("{} pairs of padding for {axes} spatial axes", low.len());
                    return Err(self.misfit(text, given.span, "one [low, high] for each"));
                }
                Ok(Padding::Given(low, high))
            }
            _ => {
                let both = self.sizes_of(&given, axes, 0, "padding")?;
                Ok(Padding::Given(both.clone(), both))
            }
        }
    }

    /// Pads the window for an image, and checks that it fits.
    fn place_window(&mut self, window: &mut Window, padding: Padding, shape: &[usize], b: Builtin, at: Span) -> R<()> {
        match padding {
            Padding::Given(low, high) => (window.low, window.high) = (low, high),
            Padding::Same => {
                for axis in 0..window.axes() {
                    let (n, stride) = (shape[axis + 1], window.stride[axis]);
                    let covered = n.div_ceil(stride).saturating_sub(1).saturating_mul(stride);
                    let total = covered.saturating_add(window.reach(axis)).saturating_sub(n);
                    (window.low[axis], window.high[axis]) = (total / 2, total - total / 2);
                }
            }
        }
        for axis in 0..window.axes() {
            let n = shape[axis + 1];
            if n == 0 || window.positions(axis, n).is_none() {
                let (reach, low, high) = (window.reach(axis), window.low[axis], window.high[axis]);
                let text = format!(
                    "a window that reaches over {reach} elements does not fit into {n} along spatial axis {axis}"
                );
                let padded =
                    if low == 0 && high == 0 { "no padding".into() } else { format!("padding [{low}, {high}]") };
                return Err(self.misfit(text, at, format!("'{}' of {shape:?} with {padded}", b.name())));
            }
        }
        Ok(())
    }
}
