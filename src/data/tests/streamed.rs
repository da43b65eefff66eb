//! Values that stay in their files, against the same ones in memory.

use super::super::random::Random;
use super::super::{Split, Turn};
use super::arrays::{gzip, idx, npz};
use super::*;
use ndarray::{Array2, Array3, ShapeBuilder};
use ndarray_npy::WriteNpyExt;

fn stream(mut source: Call, value: bool) -> Call {
    let arg = Arg { name: Some("stream".into()), named_at: None, value: Value::Bool(value), span: span(190) };
    source.args.push(arg);
    source
}

fn npy<T: ndarray_npy::WritableElement, D: ndarray::Dimension>(array: ndarray::Array<T, D>) -> Vec<u8> {
    let mut bytes = vec![];
    array.write_npy(&mut bytes).unwrap();
    bytes
}

/// Opens the data in both ways and compares all rows of all columns, in an order of its own, to the bit.
fn same(folder: &Folder, source: Call, steps: &[Call]) {
    let memory = folder.open(stream(source.clone(), false), steps).unwrap_or_else(|e| panic!("{e:#?}"));
    let disk = folder.open(stream(source, true), steps).unwrap_or_else(|e| panic!("{e:#?}"));
    assert_eq!(memory.schema(), disk.schema());
    let kept = disk.table.columns.iter().filter(|c| matches!(c.values, crate::data::table::Values::Disk(_)));
    assert!(kept.count() > 0, "nothing is streamed");
    for (index, column) in memory.schema().columns.iter().enumerate() {
        for split in [Split::Train, Split::Test] {
            let mut rows: Vec<u32> = (0..memory.rows(split) as u32).collect();
            Random::new(3, 1).shuffle(&mut rows);
            rows.extend(rows.clone().iter().take(5));
            let kinds: &[DType] = if column.is_float { &[DType::F32, DType::F64] } else { &[DType::I32] };
            for dtype in kinds {
                let mut shape = vec![rows.len()];
                shape.extend(&column.shape);
                let mut out = [0; 2].map(|_| Tensor::zeros(Type::new(*dtype, shape.clone())));
                memory.gather(split, index, &rows, &mut out[0]).unwrap();
                disk.gather(split, index, &rows, &mut out[1]).unwrap();
                let [a, b] = out.each_ref().map(|t| t.to_f64s().into_iter().map(f64::to_bits).collect::<Vec<_>>());
                assert!(a == b, "{} {split:?} {dtype:?}", column.name);
                if split == Split::Train && column.is_float {
                    let turn = Turn { seed: 4, epoch: 2 };
                    memory.draw(turn, index, &rows, &mut out[0]).unwrap();
                    disk.draw(turn, index, &rows, &mut out[1]).unwrap();
                    assert_eq!(out[0].to_f64s(), out[1].to_f64s());
                }
            }
        }
    }
    disk.warm(&(0..disk.rows(Split::Train) as u32).rev().collect::<Vec<_>>()).unwrap();
}

fn on(step: &str, column: &str) -> Call {
    call(step, &[("", name(column))])
}

/// Chains of steps on a column of positive floats.
fn chains() -> Vec<Vec<Call>> {
    let clip = call("clip", &[("", name("x")), ("low", Value::Float(0.3)), ("high", Value::Float(2.5))]);
    let window = call("window", &[("", name("x")), ("length", Value::Int(4)), ("horizon", Value::Int(2))]);
    let split = call("split", &[("last", Value::Int(20))]);
    let random = call("split", &[("test", Value::Float(0.3))]);
    let (scale, unit) = (on("standardize", "x"), on("normalize", "x"));
    vec![
        vec![random.clone()],
        vec![random.clone(), scale.clone()],
        vec![random.clone(), scale.clone(), unit.clone()],
        vec![
            call("shuffle", &[("seed", Value::Int(5))]),
            random,
            clip,
            on("log", "x"),
            scale.clone(),
            on("flatten", "x"),
        ],
        vec![split.clone(), on("log1p", "x"), unit, window.clone(), scale],
        vec![split, window, on("flatten", "x"), call("take", &[("", Value::Int(30))])],
    ]
}

#[test]
fn npy_of_every_kind() {
    let folder = Folder::new("streamed-npy");
    let mut random = Random::new(1, 1);
    let floats = Array2::from_shape_fn((100, 3), |_| random.between(0.1, 3.0));
    folder.write("f8.npy", npy(floats.clone()));
    folder.write("f4.npy", npy(floats.mapv(|v| v as f32)));
    folder.write("u1.npy", npy(Array3::from_shape_fn((100, 2, 3), |(i, j, k)| (i * 7 + j * 3 + k + 1) as u8)));
    folder.write("i8.npy", npy(Array2::from_shape_fn((100, 3), |(i, j)| (i * j) as i64)));
    folder.write("i1.npy", npy(Array2::from_shape_fn((100, 2), |(i, j)| i as i8 - j as i8)));
    folder.write("u2.npy", npy(Array2::from_shape_fn((100, 2), |(i, j)| (i * 600 + j) as u16)));
    folder.write("b1.npy", npy(Array2::from_shape_fn((100, 2), |(i, j)| (i + j) % 3 == 0)));
    folder.write("label.npy", npy(ndarray::Array1::from_iter((0..100).map(|i| i % 7))));
    // The highest byte first, as some machines write it.
    let mut big = npy(floats.clone());
    let at = big.windows(3).position(|w| w == b"<f8").unwrap();
    big[at] = b'>';
    let start = big.len() - 2400;
    big[start..].chunks_exact_mut(8).for_each(<[u8]>::reverse);
    folder.write("big.npy", big);
    for file in ["f8.npy", "f4.npy", "u1.npy", "big.npy"] {
        for steps in chains() {
            same(&folder, call("npy", &[("x", text(file))]), &steps);
        }
    }
    for file in ["i8.npy", "i1.npy", "u2.npy", "b1.npy"] {
        let source = call("npy", &[("x", text(file)), ("label", text("label.npy"))]);
        let stratified = call("split", &[("test", Value::Float(0.2)), ("stratify", name("label"))]);
        same(&folder, source, &[stratified, on("balance", "label"), on("one_hot", "label")]);
    }
    let parts = call("npy", &[("x", text("f4.npy")), ("test_x", text("f4.npy"))]);
    same(&folder, parts, &[on("standardize", "x")]);
    let crooked = npy(Array2::<f32>::zeros((10, 4).f()));
    folder.write("fortran.npy", crooked);
    let refused = folder.error(stream(call("npy", &[("x", text("fortran.npy"))]), true), &[]);
    assert_eq!((refused.code, refused.labels[0].span), ("E0413", span(190)));
    assert!(folder.open(stream(call("npy", &[("x", text("fortran.npy"))]), false), &[]).is_ok());
}

#[test]
fn idx_and_npz() {
    let folder = Folder::new("streamed-idx");
    let pixels: Vec<u8> = (0..100 * 6).map(|i| (i % 251 + 1) as u8).collect();
    folder.write("i", idx(&[100, 2, 3], &pixels));
    folder.write("t", idx(&[50, 2, 3], &pixels[..300]));
    folder.write("z", gzip(&idx(&[100, 2, 3], &pixels)));
    folder.write("l", idx(&[100], &pixels[..100]));
    for steps in chains() {
        same(&folder, call("idx", &[("x", text("i")), ("label", text("l"))]), &steps);
    }
    let noise = call("augment", &[("", name("x")), ("noise", Value::Float(0.1)), ("flip", text("horizontal"))]);
    same(&folder, call("idx", &[("x", text("i")), ("test_x", text("t"))]), std::slice::from_ref(&noise));
    let pair = call("idx", &[("x", text("i")), ("label", text("l"))]);
    same(&folder, pair, &[noise, call("mixup", &[("", name("x")), ("", name("label"))])]);
    let refused = folder.error(stream(call("idx", &[("x", text("z"))]), true), &[]);
    assert_eq!(refused.code, "E0413");
    let array = npy(Array2::from_shape_fn((100, 3), |(i, j)| (i * 3 + j) as f32 + 1.0));
    folder.write("stored.npz", npz(false, &[("a", &array), ("b", &array)]));
    folder.write("packed.npz", npz(true, &[("a", &array)]));
    for steps in chains() {
        same(&folder, call("npz", &[("", text("stored.npz")), ("x", text("b"))]), &steps);
    }
    let refused = folder.error(stream(call("npz", &[("", text("packed.npz")), ("x", text("a"))]), true), &[]);
    assert_eq!(refused.code, "E0413");
}

/// More rows than a group has, with gaps.
fn table(rows: usize) -> String {
    let mut random = Random::new(8, 1);
    let mut out = String::from("a,b,kind,note,c\n");
    for row in 0..rows {
        let number = |v: f64| if v < 0.1 { "NA".to_string() } else { format!("{:.3}", v * 3.0) };
        let [a, b, c] = [0; 3].map(|_| number(random.unit()));
        let kind = ["red", "green", "", "blue"][random.below(4)];
        let note = ["one two", "", "three \"\"four\"\"", "größer, five"][random.below(4)];
        out += &format!("{a},{b},{kind},\"{note} {}\",{c}\n", row % 37);
    }
    out
}

#[test]
fn csv_of_several_groups() {
    let folder = Folder::new("streamed-csv");
    folder.write("t.csv", table(9_000));
    folder.write("more.csv", table(300));
    let source = call(
        "csv",
        &[
            ("", text("t.csv")),
            ("missing", text("keep")),
            ("x", texts(&["a", "b"])),
            ("kind", nested("label", &[("", text("kind"))])),
            ("note", nested("text", &[("", text("note"))])),
            ("c", text("c")),
        ],
    );
    let by = |by: &str| call("impute", &[("", name("x")), ("", name("c")), ("by", text(by))]);
    let split = call("split", &[("test", Value::Float(0.2)), ("seed", Value::Int(2))]);
    let rest =
        [call("impute", &[("", name("kind"))]), on("tokenize", "note"), on("standardize", "x"), on("log1p", "c")];
    for by in [by("mean"), by("median"), by("most_frequent")] {
        same(&folder, source.clone(), &[&[split.clone(), by], &rest[..]].concat());
    }
    let mut parts = source.clone();
    parts.args.push(Arg { name: Some("test".into()), named_at: None, value: text("more.csv"), span: span(150) });
    same(&folder, parts, &[&[by("median")], &rest[..]].concat());
    let dropped = [("", text("t.csv")), ("missing", text("drop")), ("x", texts(&["a", "b"])), ("c", text("c"))];
    same(&folder, call("csv", &dropped), &[on("normalize", "x")]);

    // All fields, by themselves; and what `optc data` says about them.
    let whole = call("csv", &[("", text("t.csv")), ("missing", text("keep"))]);
    let summary = |stream_it: bool| {
        let pipeline = pipeline(stream(whole.clone(), stream_it), &[]);
        format!("{:?}", super::super::summary::summarize(&pipeline, &folder.context()).unwrap())
    };
    assert_eq!(summary(false), summary(true));
}

#[test]
fn a_full_disk_is_told() {
    use std::io::{Error, ErrorKind};
    let full = super::super::disk::temporary::no_room(&Error::from(ErrorKind::StorageFull), span(3));
    assert_eq!((full.code, full.labels[0].span), ("E0412", span(3)));
    assert!(full.help.unwrap().contains("TMPDIR"));
}

#[test]
fn a_file_that_changes_is_told() {
    let folder = Folder::new("streamed-lost");
    let path = folder.0.join("x.npy");
    folder.write("x.npy", npy(Array2::<f32>::zeros((100, 3))));
    folder.write("i.npy", npy(Array2::<i32>::from_elem((100, 3), 4)));
    let source = call("npy", &[("x", text("x.npy")), ("i", text("i.npy"))]);
    let data = folder.open(stream(source, true), &[]).unwrap();
    std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(600).unwrap();
    let mut out = Tensor::zeros(Type::new(DType::F32, vec![2, 3]));
    data.gather(Split::Train, 0, &[0, 1], &mut out).unwrap();
    let lost = data.gather(Split::Train, 0, &[99, 0], &mut out).unwrap_err();
    assert_eq!((lost.code, lost.labels[0].span), ("E0411", span(100)));
    assert!(data.warm(&[1, 99]).is_err());
    // In place: a value that no table of this many rows has.
    let mut file = std::fs::OpenOptions::new().write(true).open(folder.0.join("i.npy")).unwrap();
    std::io::Seek::seek(&mut file, std::io::SeekFrom::End(-4)).unwrap();
    std::io::Write::write_all(&mut file, &77i32.to_le_bytes()).unwrap();
    let mut out = Tensor::zeros(Type::new(DType::I32, vec![1, 3]));
    data.gather(Split::Train, 1, &[98], &mut out).unwrap();
    assert_eq!(data.gather(Split::Train, 1, &[99], &mut out).unwrap_err().code, "E0411");
}

#[test]
fn a_buffer_takes_no_seed() {
    let folder = Folder::new("streamed-buffer");
    let source = call("synthetic.moons", &[]);
    let both = call("shuffle", &[("seed", Value::Int(1)), ("buffer", Value::Int(10))]);
    assert_eq!(folder.error(source.clone(), &[both]).code, "E0407");
    let data = folder.open(source, &[call("shuffle", &[("buffer", Value::Int(10))])]).unwrap();
    assert_eq!(data.buffer(), Some(10));
}
