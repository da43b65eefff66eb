//! `idx`, `npy` and `npz`, and their errors.

use super::super::Split;
use super::*;
use ndarray::{Array1, Array2, Array3, ShapeBuilder};
use ndarray_npy::{NpzWriter, WriteNpyExt, write_npy};
use std::io::Write;

/// An idx file of bytes.
pub fn idx(shape: &[u32], values: &[u8]) -> Vec<u8> {
    let mut out = vec![0, 0, 8, shape.len() as u8];
    shape.iter().for_each(|d| out.extend(d.to_be_bytes()));
    out.extend(values);
    out
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(vec![], flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A npy file of rows of three values.
fn npy(rows: usize, value: f32) -> Vec<u8> {
    let mut bytes = vec![];
    Array2::from_elem((rows, 3), value).write_npy(&mut bytes).unwrap();
    bytes
}

/// A npz file, with stored or deflated members.
pub fn npz(packed: bool, members: &[(&str, &[u8])]) -> Vec<u8> {
    let (mut bytes, mut directory) = (vec![], vec![]);
    for (name, data) in members {
        let mut crc = flate2::Crc::new();
        crc.update(data);
        let mut deflater = flate2::write::DeflateEncoder::new(vec![], flate2::Compression::default());
        deflater.write_all(data).unwrap();
        let body = if packed { deflater.finish().unwrap() } else { data.to_vec() };
        let name = format!("{name}.npy");
        // From the version on, the local header and the directory entry say the same.
        let mut shared = vec![20, 0, 0, 0, if packed { 8 } else { 0 }, 0, 0, 0, 0, 0];
        [crc.sum(), body.len() as u32, data.len() as u32].iter().for_each(|v| shared.extend(v.to_le_bytes()));
        shared.extend([name.len() as u8, 0, 0, 0]);
        let offset = bytes.len() as u32;
        bytes.extend([&b"PK\x03\x04"[..], &shared, name.as_bytes(), &body].concat());
        let entry = [&b"PK\x01\x02\x14\x00"[..], &shared, &[0; 10], &offset.to_le_bytes(), name.as_bytes()];
        directory.extend(entry.concat());
    }
    let (at, count) = (bytes.len() as u32, members.len() as u8);
    bytes.extend(&directory);
    bytes.extend([&b"PK\x05\x06\0\0\0\0"[..], &[count, 0, count, 0], &(directory.len() as u32).to_le_bytes()].concat());
    bytes.extend([&at.to_le_bytes()[..], &[0, 0]].concat());
    bytes
}

fn pair() -> Call {
    call("idx", &[("image", text("i")), ("label", text("l")), ("test_image", text("ti")), ("test_label", text("tl"))])
}

fn small(folder: &Folder) {
    folder.write("i", idx(&[2, 1, 2], &[0, 51, 255, 1]));
    folder.write("l", idx(&[2], &[3, 1]));
    folder.write("ti", gzip(&idx(&[1, 1, 2], &[102, 7])));
    folder.write("tl", gzip(&idx(&[1], &[4])));
}

#[test]
fn idx_plain_and_zipped() {
    let folder = Folder::new("idx");
    small(&folder);
    let data = folder.open(pair(), &[]).unwrap();
    assert_eq!(column(&data, Split::Train, "image"), [0.0, 0.2, 1.0, 1.0 / 255.0]);
    assert_eq!(column(&data, Split::Test, "image"), [0.4, 7.0 / 255.0]);
    assert_eq!(gather(&data, Split::Test, "image", DType::F32).f32s(), [0.4f32, 7.0 / 255.0]);
    assert_eq!(column(&data, Split::Test, "label"), [4.0]);
    assert_eq!(data.schema().columns[1].classes, Some(5));
    let flat = call("flatten", &[("", name("image"))]);
    let scaled = call("standardize", &[("", name("image"))]);
    let data = folder.open(pair(), &[flat, scaled.clone(), scaled]).unwrap();
    assert_eq!(data.schema().columns[0].shape, [2]);
    let values = column(&data, Split::Train, "image");
    assert!(values.iter().zip([-1.0, 1.0, 1.0, -1.0]).all(|(v, e)| (v - e).abs() < 1e-12), "{values:?}");
}

#[test]
fn idx_scale_and_classes() {
    let folder = Folder::new("idx-options");
    small(&folder);
    let with = |more: (&'static str, Value)| {
        let mut call = pair();
        call.args.push(Arg { name: Some(more.0.into()), value: more.1, span: span(9), named_at: None });
        call
    };
    let data = folder.open(with(("scale", Value::Int(1))), &[]).unwrap();
    assert_eq!(column(&data, Split::Train, "image"), [0.0, 51.0, 255.0, 1.0]);
    let data = folder.open(with(("classes", Value::Int(10))), &[]).unwrap();
    assert_eq!(data.schema().columns[1].classes, Some(10));
    let error = folder.error(with(("classes", Value::Int(4))), &[]);
    assert_eq!((error.code, error.title.as_str()), ("E0408", "label 4 is not one of 4 classes"));
    assert!(error.notes[0].ends_with("tl, row 0 (counted from 0)"), "{:?}", error.notes);
    assert_eq!(folder.error(with(("scale", Value::Int(0))), &[]).code, "E0407");
}

#[test]
fn damaged_idx_files_are_named() {
    let folder = Folder::new("idx-damaged");
    let error = |image: &[u8]| {
        small(&folder);
        folder.write("i", image);
        let error = folder.error(pair(), &[]);
        assert!(error.title.contains("/i'"), "{error:?}");
        assert_eq!(error.primary(), Some(span(100)));
        error.code
    };
    let good = idx(&[2, 1, 2], &[0, 51, 255, 1]);
    assert_eq!(error(&good[..good.len() - 1]), "E0403");
    assert_eq!(error(&gzip(&good)[..20]), "E0403");
    assert_eq!(error(&gzip(&good[..good.len() - 1])), "E0403");
    assert_eq!(error(&[&good[..], &[1]].concat()), "E0403");
    assert_eq!(error(&gzip(&[&good[..], &[1]].concat())), "E0403");
    assert_eq!(error(&good[..2]), "E0403");
    assert_eq!(error(b"PK\x03\x04 not idx"), "E0402");
    assert_eq!(error(&idx(&[u32::MAX, u32::MAX, u32::MAX], &[1])), "E0403");
    assert_eq!(error(&gzip(&idx(&[u32::MAX, 1 << 20], &[1]))), "E0403");
    assert_eq!(error(&idx(&[0, 1, 2], &[])), "E0409");
}

#[test]
fn columns_and_test_parts_must_match() {
    let folder = Folder::new("idx-parts");
    small(&folder);
    let code = |args: &[(&str, Value)]| folder.error(call("idx", args), &[]).code;
    assert_eq!(code(&[("image", text("i")), ("test_label", text("tl"))]), "E0407");
    assert_eq!(code(&[("image", text("i")), ("label", text("l")), ("test_label", text("tl"))]), "E0407");
    assert_eq!(code(&[("", text("i"))]), "E0407");
    assert_eq!(code(&[("image", Value::Int(3))]), "E0407");
    assert_eq!(code(&[("image", text("i")), ("test_image", text("tl"))]), "E0403");
    assert_eq!(code(&[]), "E0401", "the standard names");
    folder.write("l", idx(&[3], &[0, 1, 2]));
    assert_eq!(code(&[("image", text("i")), ("label", text("l"))]), "E0403", "2 images, 3 labels");
}

#[test]
fn npy_in_several_types_and_orders() {
    let folder = Folder::new("npy");
    let path = |name: &str| folder.0.join(name);
    let matrix = Array2::from_shape_fn((3, 2), |(i, j)| (10 * i + j) as f64 / 8.0);
    write_npy(path("c.npy"), &matrix).unwrap();
    let mut fortran = Array2::<f32>::zeros((3, 2).f());
    fortran.assign(&matrix.mapv(|v| v as f32));
    write_npy(path("f.npy"), &fortran).unwrap();
    write_npy(path("l.npy"), &Array1::from(vec![2i64, 0, 1])).unwrap();
    write_npy(path("b.npy"), &Array1::from(vec![true, false, true])).unwrap();
    write_npy(path("u.npy"), &Array3::from_elem((3, 1, 2), 51u8)).unwrap();
    let file = |name: &str| text(&format!("{name}.npy"));
    let source =
        call("npy", &[("c", file("c")), ("f", file("f")), ("l", file("l")), ("b", file("b")), ("u", file("u"))]);
    let data = folder.open(source, &[]).unwrap();
    let expected = [0.0, 0.125, 1.25, 1.375, 2.5, 2.625];
    assert_eq!(column(&data, Split::Train, "c"), expected);
    assert_eq!(column(&data, Split::Train, "f"), expected);
    assert_eq!(column(&data, Split::Train, "l"), [2.0, 0.0, 1.0]);
    assert_eq!(column(&data, Split::Train, "b"), [1.0, 0.0, 1.0]);
    assert_eq!(column(&data, Split::Train, "u"), [0.2; 6]);
    let classes: Vec<_> = data.schema().columns.iter().map(|c| c.classes).collect();
    assert_eq!(classes, [None, None, Some(3), Some(2), None]);
    write_npy(path("big.npy"), &Array1::from(vec![1u64 << 40])).unwrap();
    assert_eq!(folder.error(call("npy", &[("x", file("big"))]), &[]).code, "E0408");
}

#[test]
fn npz_stored_and_deflated() {
    let folder = Folder::new("npz");
    for (name, packed) in [("s.npz", false), ("d.npz", true)] {
        folder.write(name, npz(packed, &[("x_train", &npy(40, 0.5)), ("x_test", &npy(2, 0.25))]));
        let source = |member: &str| call("npz", &[("", text(name)), ("x", text(member)), ("test_x", text("x_test"))]);
        let data = folder.open(source("x_train"), &[]).unwrap();
        assert_eq!((data.schema().train_rows, data.schema().test_rows), (40, 2));
        assert_eq!(column(&data, Split::Test, "x"), [0.25; 6]);
        let error = folder.error(source("x_trian"), &[]);
        assert_eq!((error.code, error.help.as_deref()), ("E0404", Some("did you mean 'x_train'?")));
    }
}

#[test]
fn npz_as_another_crate_writes_it() {
    let folder = Folder::new("npz-writer");
    let mut bytes = std::io::Cursor::new(vec![]);
    let mut writer = NpzWriter::new(&mut bytes);
    writer.add_array("x", &Array2::from_elem((4, 3), 0.5f64)).unwrap();
    writer.add_array("y", &Array1::from(vec![0i32, 1, 1, 0])).unwrap();
    writer.finish().unwrap();
    folder.write("w.npz", bytes.into_inner());
    let data = folder.open(call("npz", &[("", text("w.npz")), ("x", text("x")), ("y", text("y"))]), &[]).unwrap();
    assert_eq!(column(&data, Split::Train, "x"), [0.5; 12]);
    assert_eq!(column(&data, Split::Train, "y"), [0.0, 1.0, 1.0, 0.0]);
}
