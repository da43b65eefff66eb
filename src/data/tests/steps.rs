//! The steps on the way to a batch.

use super::super::Split;
use super::*;

fn line(rows: i64) -> Call {
    call("synthetic.linear", &[("rows", Value::Int(rows)), ("test", Value::Int(0))])
}

#[test]
fn splits_take_every_row_once() {
    let whole = column(&made(line(10), &[]), Split::Train, "y");
    for args in [("test", Value::Float(0.3)), ("every", Value::Int(4)), ("last", Value::Int(3))] {
        let data = made(line(10), &[call("split", &[args])]);
        let mut rows = column(&data, Split::Train, "y");
        let test = column(&data, Split::Test, "y");
        rows.extend(&test);
        let sort = |mut v: Vec<f64>| {
            v.sort_by(f64::total_cmp);
            v
        };
        assert_eq!(sort(rows), sort(whole.clone()));
    }
    let data = made(line(10), &[call("split", &[("every", Value::Int(5))])]);
    assert_eq!(column(&data, Split::Test, "y"), [whole[4], whole[9]]);
    let data = made(line(10), &[call("split", &[("last", Value::Int(2))])]);
    assert_eq!(column(&data, Split::Test, "y"), whole[8..]);
}

#[test]
fn a_wrong_step_is_refused() {
    let folder = Folder::new("wrong-steps");
    let code = |steps: &[Call]| folder.error(line(10), steps).code;
    assert_eq!(code(&[call("splitt", &[])]), "E0407");
    assert_eq!(code(&[call("split", &[("tset", Value::Float(0.1))])]), "E0407");
    assert_eq!(code(&[call("split", &[("every", Value::Int(2)), ("last", Value::Int(2))])]), "E0407");
    assert_eq!(code(&[call("split", &[("last", Value::Int(10))])]), "E0409");
    assert_eq!(code(&[call("split", &[]), call("split", &[])]), "E0409");
    assert_eq!(code(&[call("standardize", &[("", name("z"))])]), "E0404");
    assert_eq!(code(&[call("standardize", &[])]), "E0407");
    assert_eq!(code(&[call("one_hot", &[("", name("x"))])]), "E0409");
}

#[test]
fn statistics_come_from_the_train_rows() {
    let folder = Folder::new("statistics");
    folder.write("t.csv", "a,c\n1,7\n3,7\n100,8\n");
    let source = call("csv", &[("", text("t.csv")), ("x", texts(&["a", "c"]))]);
    let last = call("split", &[("last", Value::Int(1))]);
    let data = folder.open(source.clone(), &[last.clone(), call("standardize", &[("", name("x"))])]).unwrap();
    assert_eq!(column(&data, Split::Train, "x"), [-1.0, 7.0, 1.0, 7.0], "constant columns stay");
    assert_eq!(column(&data, Split::Test, "x"), [98.0, 8.0]);
    let data = folder.open(source, &[last, call("normalize", &[("", name("x"))])]).unwrap();
    assert_eq!(column(&data, Split::Train, "x"), [0.0, 7.0, 1.0, 7.0]);
}

#[test]
fn one_hot_take_and_shuffle() {
    let folder = Folder::new("one-hot");
    folder.write("t.csv", "k\nb\na\nc\n");
    let source = call("csv", &[("", text("t.csv")), ("k", nested("label", &[("", text("k"))]))]);
    let data =
        folder.open(source, &[call("one_hot", &[("", name("k"))]), call("take", &[("", Value::Int(2))])]).unwrap();
    assert_eq!(column(&data, Split::Train, "k"), [0.0, 1.0, 0.0, 1.0, 0.0, 0.0]);
    assert!(data.schema().columns[0].is_float && data.schema().columns[0].shape == [3]);
    let plain = column(&made(line(50), &[]), Split::Train, "y");
    let mut mixed = column(&made(line(50), &[call("shuffle", &[("seed", Value::Int(3))])]), Split::Train, "y");
    assert_ne!(plain, mixed);
    let mut sorted = plain;
    sorted.sort_by(f64::total_cmp);
    mixed.sort_by(f64::total_cmp);
    assert_eq!(sorted, mixed);
}

#[test]
fn batches_take_any_rows_in_any_float_type() {
    let data = made(line(10), &[]);
    let mut batch = Tensor::zeros(Type::new(DType::F32, [2, 2]));
    data.gather(Split::Train, 0, &[7, 0], &mut batch);
    let all = column(&data, Split::Train, "x");
    let expected: Vec<f64> = [14, 15, 0, 1].iter().map(|i| f64::from(all[*i] as f32)).collect();
    assert_eq!(batch.to_f64s(), expected);
}

#[test]
fn impute_takes_the_train_rows() {
    let folder = Folder::new("impute");
    folder.write("t.csv", "a,b\n1,7\n3,\n,8\n11,9\n,5\n");
    let source = call("csv", &[("", text("t.csv")), ("x", texts(&["a", "b"])), ("missing", text("keep"))]);
    let last = call("split", &[("last", Value::Int(1))]);
    let by = |by: &str| call("impute", &[("", name("x")), ("by", text(by))]);
    let data = folder.open(source.clone(), &[last.clone(), by("mean")]).unwrap();
    assert_eq!(column(&data, Split::Train, "x"), [1.0, 7.0, 3.0, 8.0, 5.0, 8.0, 11.0, 9.0]);
    assert_eq!(column(&data, Split::Test, "x"), [5.0, 5.0]);
    let data = folder.open(source.clone(), &[last, by("median")]).unwrap();
    assert_eq!(column(&data, Split::Test, "x"), [3.0, 5.0]);
    let error = folder.error(source.clone(), &[]);
    assert_eq!((error.code, error.title.as_str()), ("E0405", "missing values are left in 'x'"));
    assert_eq!(folder.error(source.clone(), &[call("standardize", &[("", name("x"))]), by("mean")]).code, "E0405");
    assert_eq!(folder.error(source, &[by("mode")]).code, "E0407");
}
