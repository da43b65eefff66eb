//! Every primitive at hand-computed values, stated as IR text.

use super::{Interpreter, eval};
use crate::ir::parse::parse;
use crate::ir::{DType, Type};
use crate::runtime::{Executable, Tensor};

/// The value of the last node of a graph without inputs.
fn last(text: &str) -> Vec<f64> {
    let count = text.lines().filter(|l| l.trim_start().starts_with('%')).count();
    let graph = parse(&format!("{text}\noutput \"y\": %{} value", count - 1)).expect("the text is a graph");
    eval(&graph, &[])[0].to_f64s()
}

/// `%0` is 1 … 6 in the shape [2, 3]; the rest of the text may use it.
fn of_six(text: &str) -> Vec<f64> {
    last(&format!("%0: f32[2, 3] = dense[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]\n{text}"))
}

const NAN: f64 = f64::NAN;

fn assert_same(got: Vec<f64>, want: &[f64]) {
    let same = got.len() == want.len() && got.iter().zip(want).all(|(g, w)| g == w || (g.is_nan() && w.is_nan()));
    assert!(same, "got {got:?}, expected {want:?}");
}

#[test]
fn constants_and_iota() {
    assert_same(last("%0: f32[] = const[0.1]"), &[f64::from(0.1_f32)]);
    assert_same(last("%0: f64[] = const[0.1]"), &[0.1]);
    assert_same(last("%0: i32[2, 3] = iota[axis=1]"), &[0.0, 1.0, 2.0, 0.0, 1.0, 2.0]);
    assert_same(last("%0: f32[2, 2] = iota[axis=0]"), &[0.0, 0.0, 1.0, 1.0]);
}

#[test]
fn random_bits_are_those_of_the_counter() {
    let keys = "%0: i32[] = const[1.0]\n%1: i32[] = const[2.0]\n%2: i32[] = const[9.0]";
    let got = last(&format!("{keys}\n%3: i32[2, 2] = random_bits[stream=5] %0, %1, %2"));
    let want: Vec<f64> =
        (0..4).map(|i| f64::from(crate::runtime::random::threefry2x32([1, 2 ^ 5], [i, 9])[0] as i32)).collect();
    assert_same(got, &want);
    assert_same(last("%0: i32[1] = dense[-256.0]\n%1: f32[1] = bits_to_unit %0"), &[1.0 - 2f64.powi(-24)]);
}

#[test]
fn comparisons_select_and_conversions() {
    let xy = "%0: f32[4] = dense[1.0, 2.0, 3.0, NaN]\n%1: f32[4] = dense[2.0, 2.0, 2.0, NaN]";
    let compare = |name: &str| last(&format!("{xy}\n%2: bool[4] = {name} %0, %1"));
    assert_same(compare("eq"), &[0.0, 1.0, 0.0, 0.0]);
    assert_same(compare("ne"), &[1.0, 0.0, 1.0, 1.0]);
    assert_same(compare("lt"), &[1.0, 0.0, 0.0, 0.0]);
    assert_same(compare("le"), &[1.0, 1.0, 0.0, 0.0]);
    assert_same(compare("gt"), &[0.0, 0.0, 1.0, 0.0]);
    assert_same(compare("ge"), &[0.0, 1.0, 1.0, 0.0]);
    assert_same(last(&format!("{xy}\n%2: bool[4] = lt %0, %1\n%3: f32[4] = select %2, %0, %1")), &[1.0, 2.0, 2.0, NAN]);
    assert_same(
        last(&format!("{xy}\n%2: bool[4] = lt %0, %1\n%3: bool[4] = not %2\n%4: bool[4] = and %2, %3")),
        &[0.0; 4],
    );
    let to = |ty: &str| last(&format!("%0: f64[5] = dense[-1.9, 2.9, 1e20, NaN, 0.0]\n%1: {ty}[5] = convert %0"));
    assert_same(to("i32"), &[-1.0, 2.0, f64::from(i32::MAX), 0.0, 0.0]);
    assert_same(to("bool"), &[1.0, 1.0, 1.0, 1.0, 0.0]);
    assert_same(to("f32"), &[f64::from(-1.9_f32), f64::from(2.9_f32), f64::from(1e20_f32), NAN, 0.0]);
    assert_same(
        last("%0: f32[3] = dense[1.0, NaN, inf]\n%1: bool[3] = is_finite %0\n%2: i32[3] = convert %1"),
        &[1.0, 0.0, 0.0],
    );
}

#[test]
fn movement() {
    assert_same(of_six("%1: f32[3, 2] = transpose[perm=[1, 0]] %0"), &[1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
    assert_same(
        of_six("%1: f32[3, 2] = reshape %0\n%2: f32[2, 3] = transpose[perm=[1, 0]] %1\n%3: f32[6] = reshape %2"),
        &[1.0, 3.0, 5.0, 2.0, 4.0, 6.0],
    );
    assert_same(
        of_six("%1: f32[2] = reduce_max[axes=[1]] %0\n%2: f32[2, 2] = broadcast[axes=[0]] %1"),
        &[3.0, 3.0, 6.0, 6.0],
    );
    assert_same(of_six("%1: f32[1, 2] = slice[start=[1, 0], limit=[2, 3], stride=[1, 2]] %0"), &[4.0, 6.0]);
    assert_same(of_six("%1: f32[2, 3] = reverse[axes=[0, 1]] %0"), &[6.0, 5.0, 4.0, 3.0, 2.0, 1.0]);
    assert_same(
        last(
            "%0: i32[2] = dense[1.0, 2.0]\n%1: i32[] = const[9.0]\n%2: i32[6] = pad[low=[1], high=[2], interior=[1]] %0, %1",
        ),
        &[9.0, 1.0, 9.0, 2.0, 9.0, 9.0],
    );
    assert_same(
        last(
            "%0: i32[2, 1] = dense[1.0, 2.0]\n%1: i32[2, 2] = dense[3.0, 4.0, 5.0, 6.0]\n%2: i32[2, 3] = concat[axis=1] %0, %1",
        ),
        &[1.0, 3.0, 4.0, 2.0, 5.0, 6.0],
    );
}

#[test]
fn gather_and_scatter_clamp() {
    let index = "%1: i32[4] = dense[2.0, 0.0, 7.0, -1.0]";
    assert_same(
        of_six(&format!("{index}\n%2: f32[2, 4] = gather[axis=1] %0, %1")),
        &[3.0, 1.0, 3.0, 1.0, 6.0, 4.0, 6.0, 4.0],
    );
    let all = format!("{index}\n%2: f32[2, 4] = gather[axis=1] %0, %1\n%3: f32[2, 3] = scatter_add[axis=1] %0, %1, %2");
    assert_same(of_six(&all), &[3.0, 2.0, 9.0, 12.0, 5.0, 18.0]);
}

#[test]
fn reductions_and_scans() {
    assert_same(of_six("%1: f32[2] = reduce_sum[axes=[1]] %0"), &[6.0, 15.0]);
    assert_same(of_six("%1: f32[3] = reduce_prod[axes=[0]] %0"), &[4.0, 10.0, 18.0]);
    assert_same(of_six("%1: f32[] = reduce_min[axes=[0, 1]] %0"), &[1.0]);
    assert_same(last("%0: f32[3] = dense[1.0, NaN, 3.0]\n%1: f32[] = reduce_max[axes=[0]] %0"), &[NAN]);
    assert_same(last("%0: f32[0] = dense[]\n%1: f32[] = reduce_max[axes=[0]] %0"), &[f64::NEG_INFINITY]);
    assert_same(of_six("%1: f32[2, 3] = cumsum[axis=1, reverse=false] %0"), &[1.0, 3.0, 6.0, 4.0, 9.0, 15.0]);
    assert_same(of_six("%1: f32[2, 3] = cumprod[axis=0, reverse=true] %0"), &[4.0, 10.0, 18.0, 4.0, 5.0, 6.0]);
    let x = "%0: f32[2, 4] = dense[3.0, 1.0, 3.0, 1.0, 2.0, NaN, 9.0, NaN]";
    assert_same(last(&format!("{x}\n%1: i32[2] = argmax[axis=1] %0")), &[0.0, 1.0]);
    assert_same(last(&format!("{x}\n%1: i32[2] = argmin[axis=1] %0")), &[1.0, 1.0]);
    let sort = |how| last(&format!("{x}\n%1: i32[2, 4] = argsort[axis=1, descending={how}] %0"));
    assert_same(sort("false"), &[1.0, 3.0, 0.0, 2.0, 0.0, 2.0, 1.0, 3.0]);
    assert_same(sort("true"), &[0.0, 2.0, 1.0, 3.0, 2.0, 0.0, 1.0, 3.0]);
    let v = "%0: f32[5] = dense[1.0, 2.0, 3.0, 4.0, 5.0]";
    assert_same(last(&format!("{v}\n%1: f32[3] = segment_sum[offsets=[0, 2, 2, 5]] %0")), &[3.0, 0.0, 12.0]);
    assert_same(
        last("%0: f32[3] = dense[1.0, 2.0, 3.0]\n%1: f32[5] = segment_broadcast[offsets=[0, 2, 2, 5]] %0"),
        &[1.0, 1.0, 3.0, 3.0, 3.0],
    );
}

#[test]
fn sums_do_not_lose_small_numbers() {
    let sum = last("%0: f32[] = const[0.1]\n%1: f32[1000000] = broadcast %0\n%2: f32[] = reduce_sum[axes=[0]] %1");
    assert!((sum[0] - 100_000.0).abs() < 0.1, "{sum:?}");
}

#[test]
fn products() {
    let y = "%1: f32[3, 2] = dense[1.0, 0.0, 0.0, 1.0, 1.0, 1.0]";
    assert_same(
        of_six(&format!("{y}\n%2: f32[2, 2] = dot[lhs_contract=[1], rhs_contract=[0]] %0, %1")),
        &[4.0, 5.0, 10.0, 11.0],
    );
    // Batched over axis 0 of the left and axis 1 of the right operand.
    assert_same(
        of_six(&format!(
            "{y}\n%2: f32[2] = dot[lhs_batch=[0], rhs_batch=[1], lhs_contract=[1], rhs_contract=[0]] %0, %1"
        )),
        &[4.0, 11.0],
    );
    assert_same(
        last("%0: f64[2] = dense[1.0, 2.0]\n%1: f64[3] = dense[1.0, 10.0, 100.0]\n%2: f64[2, 3] = dot %0, %1"),
        &[1.0, 10.0, 100.0, 2.0, 20.0, 200.0],
    );
}

#[test]
fn updates_are_written_to_their_inputs() {
    let text = r#"input "w": f32[2] param
        input "t": f64[] step
        %0: f32[2] = input[0]
        %1: f64[] = input[1]
        %2: f32[2] = add %0, %0
        %3: f64[] = neg %1
        %4: f32[] = reduce_sum[axes=[0]] %0
        output "w": %2 update[0]
        output "loss": %4 value
        output "t": %3 report"#;
    let mut interpreter = Interpreter::new(parse(text).expect("a graph"));
    let mut w = Tensor::from_f64s(Type::new(DType::F32, [2]), &[1.0, 2.0]);
    let mut t = Tensor::scalar(DType::F64, 7.0);
    let mut results = [Tensor::scalar(DType::F32, 0.0), Tensor::scalar(DType::F64, 0.0)];
    interpreter.run(&mut [&mut w, &mut t], &mut results);
    interpreter.run(&mut [&mut w, &mut t], &mut results);
    assert_eq!(w.to_f64s(), [4.0, 8.0]);
    assert_eq!([results[0].to_f64s(), results[1].to_f64s()], [[6.0], [-7.0]]);
}
