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
    data.gather(Split::Train, 0, &[7, 0], &mut batch).unwrap();
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

#[test]
fn strata_and_folds_share_out_every_class() {
    let folder = Folder::new("strata");
    let rows: String = (0..30).map(|i| format!("{i},{}\n", if i < 20 { "a" } else { "b" })).collect();
    folder.write("t.csv", format!("n,k\n{rows}"));
    let source = || call("csv", &[("", text("t.csv")), ("n", text("n")), ("k", nested("label", &[("", text("k"))]))]);
    let of_class = |data: &Dataset, split| column(data, split, "k").iter().filter(|k| **k == 1.0).count();
    let split = |args: &[(&str, Value)]| folder.open(source(), &[call("split", args)]).unwrap();
    let stratified = split(&[("test", Value::Float(0.2)), ("stratify", name("k"))]);
    assert_eq!((stratified.schema().test_rows, of_class(&stratified, Split::Test)), (6, 2));
    let mut seen = vec![];
    for fold in 0..4 {
        let args = [("", Value::Int(fold)), ("", Value::Int(4)), ("stratify", name("k"))];
        let data = folder.open(source(), &[call("fold", &args)]).unwrap();
        assert!((7..=8).contains(&data.schema().test_rows) && (2..=3).contains(&of_class(&data, Split::Test)));
        seen.extend(column(&data, Split::Test, "n"));
    }
    seen.sort_by(f64::total_cmp);
    assert!(seen.into_iter().eq((0..30).map(f64::from)), "each row is a test row once");
    assert_eq!(split(&[("last", Value::Float(0.1))]).schema().test_rows, 3);
    let code = |args: &[(&str, Value)]| folder.error(source(), &[call("split", args)]).code;
    assert_eq!(code(&[("every", Value::Int(2)), ("stratify", name("k"))]), "E0407");
    assert_eq!(code(&[("stratify", name("n"))]), "E0409");
    assert_eq!(folder.error(source(), &[call("fold", &[("", Value::Int(5)), ("", Value::Int(5))])]).code, "E0409");
    for (by, each) in [("repeat", 20), ("drop", 10)] {
        let balanced = folder.open(source(), &[call("balance", &[("", name("k")), ("by", text(by))])]).unwrap();
        assert_eq!((balanced.schema().train_rows, of_class(&balanced, Split::Train)), (2 * each, each));
    }
}

#[test]
fn a_series_becomes_windows() {
    let folder = Folder::new("series");
    folder.write("t.csv", "month,n\n1,10\n2,20\n3,30\n4,40\n5,50\n6,60\n");
    let source = || call("csv", &[("", text("t.csv")), ("n", text("n")), ("month", text("month"))]);
    let window =
        |more: &[(&str, Value)]| call("window", &[&[("", name("n")), ("length", Value::Int(2))], more].concat());
    let last = call("split", &[("last", Value::Int(2))]);
    let data = folder.open(source(), &[last.clone(), window(&[])]).unwrap();
    assert_eq!(column(&data, Split::Train, "n"), [10.0, 20.0, 20.0, 30.0]);
    assert_eq!(column(&data, Split::Train, "next_n"), [30.0, 40.0]);
    assert_eq!(column(&data, Split::Test, "n"), [30.0, 40.0, 40.0, 50.0]);
    assert_eq!(column(&data, Split::Test, "month"), [5.0, 6.0]);
    let far = folder.open(source(), &[window(&[("horizon", Value::Int(3))])]).unwrap();
    assert_eq!(
        (column(&far, Split::Train, "n"), column(&far, Split::Train, "next_n")),
        (vec![10.0, 20.0, 20.0, 30.0], vec![50.0, 60.0])
    );
    assert_eq!(folder.error(source(), &[window(&[("horizon", Value::Int(9))])]).code, "E0409");
    assert_eq!(folder.error(source(), &[call("split", &[("every", Value::Int(3))]), window(&[])]).code, "E0409");
    assert_eq!(folder.error(source(), &[window(&[]), window(&[])]).code, "E0409");
    let kept = folder.open(source(), &[call("select", &[("", name("month"))])]).unwrap();
    assert_eq!((kept.schema().columns.len(), kept.schema().columns[0].name.as_str()), (1, "month"));
    let dropped = folder.open(source(), &[call("drop", &[("", name("month"))])]).unwrap();
    assert_eq!((dropped.schema().columns.len(), dropped.schema().columns[0].name.as_str()), (1, "n"));
    assert_eq!(folder.error(source(), &[call("drop", &[("", name("month")), ("", name("n"))])]).code, "E0409");
}

#[test]
fn numbers_are_clipped_and_their_logarithms_taken() {
    let folder = Folder::new("clip");
    folder.write("t.csv", "n\n-3\n0\n1\n2.718281828459045\n");
    let source = || call("csv", &[("", text("t.csv")), ("n", text("n"))]);
    let clip = |args: &[(&str, Value)]| call("clip", &[&[("", name("n"))], args].concat());
    let values = |steps: &[Call]| column(&folder.open(source(), steps).unwrap(), Split::Train, "n");
    let low = clip(&[("low", Value::Int(1))]);
    assert_eq!(values(&[clip(&[("low", Value::Int(-1)), ("high", Value::Int(1))])]), [-1.0, 0.0, 1.0, 1.0]);
    let logs = values(&[low.clone(), call("log", &[("", name("n"))])]);
    assert!(logs.iter().zip([0.0, 0.0, 0.0, 1.0]).all(|(a, b)| (a - b).abs() < 1e-14), "{logs:?}");
    let logs = values(&[clip(&[("low", Value::Int(0))]), call("log1p", &[("", name("n"))])]);
    assert!(logs.iter().zip([0.0, 0.0, 2f64.ln(), 3.718281828459045f64.ln()]).all(|(a, b)| (a - b).abs() < 1e-14));
    let error = folder.error(source(), &[call("log", &[("", name("n"))])]);
    assert_eq!((error.code, error.notes[0].contains("row 0")), ("E0409", true));
    assert_eq!(folder.error(source(), &[clip(&[])]).code, "E0407");
    assert_eq!(folder.error(source(), &[clip(&[("low", Value::Int(2)), ("high", Value::Int(1))])]).code, "E0407");
}

#[test]
fn missing_classes_take_the_most_frequent() {
    let folder = Folder::new("impute-classes");
    folder.write("t.csv", "k,n\nb,1\n,\na,3\nb,1\n");
    let kept =
        [("", text("t.csv")), ("k", nested("label", &[("", text("k"))])), ("n", text("n")), ("missing", text("keep"))];
    let source = || call("csv", &kept);
    assert_eq!(folder.error(source(), &[]).code, "E0405");
    assert_eq!(folder.error(source(), &[call("one_hot", &[("", name("k"))])]).code, "E0405");
    let steps = [call("impute", &[("", name("k"))]), call("impute", &[("", name("n")), ("by", text("most_frequent"))])];
    let data = folder.open(source(), &steps).unwrap();
    assert_eq!(column(&data, Split::Train, "k"), [1.0, 1.0, 0.0, 1.0]);
    assert_eq!(column(&data, Split::Train, "n"), [1.0, 1.0, 3.0, 1.0]);
    assert_eq!(data.class_names("k"), ["a", "b"]);
    let number = [call("impute", &[("", name("k"))]), call("impute", &[("", name("n")), ("by", Value::Int(7))])];
    assert_eq!(column(&folder.open(source(), &number).unwrap(), Split::Train, "n"), [1.0, 7.0, 3.0, 1.0]);
    assert_eq!(folder.error(source(), &[call("impute", &[("", name("k")), ("by", text("mean"))])]).code, "E0407");
}
