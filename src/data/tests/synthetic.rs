//! Data made inside the program.

use super::super::Split;
use super::*;

/// FNV-1a: a short name for many bytes.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x100_0000_01b3))
}

fn sized(name: &str, train: i64, test: i64) -> Call {
    call(name, &[("train", Value::Int(train)), ("test", Value::Int(test))])
}

#[test]
fn linear_has_the_asked_weights() {
    let weights = Value::List(vec![Value::Int(1), Value::Float(-2.5), Value::Int(4)]);
    let noise = ("noise", Value::Int(0));
    let data = made(call("synthetic.linear", &[("weights", weights), ("bias", Value::Int(7)), noise]), &[]);
    assert_eq!((data.schema().train_rows, data.schema().columns[0].shape.as_slice()), (200, &[3][..]));
    let (x, y) = (column(&data, Split::Train, "x"), column(&data, Split::Train, "y"));
    for (x, y) in x.chunks(3).zip(y) {
        assert!((x[0] - 2.5 * x[1] + 4.0 * x[2] + 7.0 - y).abs() < 1e-12);
    }
}

#[test]
fn moons_lie_on_their_circles() {
    let mut source = sized("synthetic.moons", 400, 50);
    source.args.push(Arg { name: Some("noise".into()), value: Value::Int(0), span: span(9), named_at: None });
    let data = made(source, &[]);
    assert_eq!(data.schema().columns[1].classes, Some(2));
    let (x, label) = (column(&data, Split::Train, "x"), column(&data, Split::Train, "label"));
    for (x, label) in x.chunks(2).zip(label) {
        let center = if label == 0.0 { [0.0, 0.0] } else { [1.0, 0.5] };
        let distance = ((x[0] - center[0]).powi(2) + (x[1] - center[1]).powi(2)).sqrt();
        assert!((distance - 1.0).abs() < 1e-12);
    }
}

#[test]
fn spirals_have_all_classes() {
    let data = made(call("synthetic.spirals", &[("classes", Value::Int(5))]), &[]);
    let mut seen = [0; 5];
    column(&data, Split::Train, "label").iter().for_each(|label| seen[*label as usize] += 1);
    assert!(seen.iter().all(|n| (250..350).contains(n)), "{seen:?}");
}

#[test]
fn digits_never_change() {
    let data = made(sized("synthetic.digits", 1000, 100), &[]);
    assert_eq!(data.schema().columns[0].shape, [28, 28]);
    let images = gather(&data, Split::Train, "image", DType::F32);
    let bytes: Vec<u8> = images.f32s().iter().map(|v| (v * 255.0).round() as u8).collect();
    // Pinned: accuracies in the documentation hold for these images.
    assert_eq!(hash(&bytes), 5_133_367_144_282_937_260);
    let mean = images.f32s().iter().sum::<f32>() / bytes.len() as f32;
    assert!((0.1..0.25).contains(&mean), "{mean}");
    // The rows do not depend on how many there are.
    let longer = made(sized("synthetic.digits", 1600, 0), &[]);
    assert_eq!(column(&longer, Split::Train, "label")[1000..1100], column(&data, Split::Test, "label"));
}

#[test]
fn sizes_that_do_not_fit_are_refused() {
    let folder = Folder::new("large");
    for (name, rows) in [("synthetic.digits", 1 << 40), ("synthetic.moons", 1 << 62), ("synthetic.moons", 0)] {
        assert_eq!(folder.error(sized(name, rows, 1), &[]).code, "E0407");
    }
    assert_eq!(
        folder.error(call("synthetic.digit", &[]), &[]).help.as_deref(),
        Some("did you mean 'synthetic.digits'?")
    );
}
