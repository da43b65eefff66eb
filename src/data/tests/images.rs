//! Folders of pictures, and what is done to them in training.

use super::super::{Split, Turn};
use super::*;

/// A PNG file of these pixels.
fn png(height: usize, width: usize, channels: usize, pixels: &[u8]) -> Vec<u8> {
    let mut bytes = vec![];
    let mut encoder = png::Encoder::new(&mut bytes, width as u32, height as u32);
    encoder.set_color(if channels == 1 { png::ColorType::Grayscale } else { png::ColorType::Rgb });
    encoder.write_header().unwrap().write_image_data(pixels).unwrap();
    bytes
}

/// A grey JPEG of 8 x 8 equal pixels of value 200, put together by hand: its only coefficient is 8 (200 - 128) = 576.
fn jpeg() -> Vec<u8> {
    let mut bytes = vec![0xff, 0xd8, 0xff, 0xdb, 0, 0x43, 0];
    bytes.extend([1; 64]);
    bytes.extend([0xff, 0xc0, 0, 11, 8, 0, 8, 0, 8, 1, 1, 0x11, 0]);
    // Huffman codes: 0 for ten bits, 10 for none; 0 for the end of the block.
    let counts = |first: u8, second: u8| [&[first, second][..], &[0; 14]].concat();
    bytes.extend([&[0xff, 0xc4, 0, 21, 0x00][..], &counts(1, 1), &[10, 0]].concat());
    bytes.extend([&[0xff, 0xc4, 0, 20, 0x10][..], &counts(1, 0), &[0]].concat());
    bytes.extend([0xff, 0xda, 0, 8, 1, 1, 0, 0, 63, 0]);
    // 0, 1001000000, 0, and ones up to the byte.
    bytes.extend([0b0100_1000, 0b0000_1111, 0xff, 0xd9]);
    bytes
}

fn animals() -> Folder {
    let folder = Folder::new("animals");
    for class in ["cat", "ant", ".hidden"] {
        std::fs::create_dir(folder.0.join(class)).unwrap();
    }
    folder.write("ant/2.png", png(2, 2, 3, &[0, 51, 102, 1, 2, 3, 4, 5, 6, 7, 8, 255]));
    folder.write("ant/1.PNG", png(2, 2, 1, &[10, 20, 30, 40]));
    folder.write("cat/a.png", png(2, 2, 3, &[9; 12]));
    folder.write("cat/notes.txt", "not a picture");
    folder
}

fn images(more: &[(&str, Value)]) -> Call {
    call("images", &[&[("", text("."))], more].concat())
}

#[test]
fn a_sub_folder_is_a_class() {
    let data = animals().open(images(&[]), &[]).unwrap();
    let schema = data.schema();
    assert_eq!((schema.columns[0].shape.as_slice(), schema.train_rows), (&[2, 2, 3][..], 3));
    assert_eq!(
        (data.class_names("label"), schema.columns[1].classes),
        (&["ant".to_string(), "cat".into()][..], Some(2))
    );
    assert_eq!(column(&data, Split::Train, "label"), [0.0, 0.0, 1.0]);
    let pixels = column(&data, Split::Train, "image");
    assert_eq!(pixels[..6], [10.0, 10.0, 10.0, 20.0, 20.0, 20.0].map(|v| v / 255.0));
    assert_eq!((pixels[13], pixels[23]), (0.2, 1.0));
    let grey = animals().open(images(&[("channels", Value::Int(1))]), &[]).unwrap();
    assert_eq!(column(&grey, Split::Train, "image")[..4], [10.0, 20.0, 30.0, 40.0].map(|v| v / 255.0));
    let large = animals().open(images(&[("size", ints(&[3, 5])), ("resize", Value::Bool(true))]), &[]).unwrap();
    assert_eq!(large.schema().columns[0].shape, [3, 5, 3]);
}

#[test]
fn jpeg_pictures_are_read_by_their_content() {
    let folder = Folder::new("jpeg");
    std::fs::create_dir_all(folder.0.join("train/a")).unwrap();
    std::fs::create_dir_all(folder.0.join("test/a")).unwrap();
    folder.write("train/a/1.jpg", jpeg());
    folder.write("test/a/named_png.png", jpeg());
    let data = folder.open(images(&[("channels", Value::Int(1))]), &[]).unwrap();
    assert_eq!((data.schema().train_rows, data.schema().test_rows), (1, 1));
    for split in [Split::Train, Split::Test] {
        let pixels = column(&data, split, "image");
        assert!(pixels.len() == 64 && pixels.iter().all(|v| (v * 255.0 - 200.0).abs() <= 1.0), "{pixels:?}");
    }
}

#[test]
fn wrong_pictures_are_named() {
    let fails = |name: &str, bytes: &[u8], options: &[(&str, Value)]| {
        let folder = animals();
        folder.write(name, bytes);
        let pipeline = pipeline(images(options), &[]);
        let errors = super::super::open(&pipeline, &folder.context()).unwrap_err();
        assert!(errors[0].title.contains(name), "{errors:?}");
        errors[0].code
    };
    let size = ("size", Value::Int(2));
    let good = png(2, 2, 3, &[1; 12]);
    assert_eq!(fails("cat/b.png", &good[..good.len() - 20], &[]), "E0403");
    assert_eq!(fails("cat/b.png", b"GIF89a", &[]), "E0402");
    assert_eq!(fails("cat/b.png", b"", &[]), "E0402");
    assert_eq!(fails("cat/b.jpg", &jpeg()[..120], &[]), "E0403");
    assert_eq!(fails("ant/0.png", &png(2, 3, 3, &[1; 18]), &[size]), "E0403");
    let folder = animals();
    assert_eq!(folder.error(images(&[("channels", Value::Int(2))]), &[]).code, "E0407");
    assert_eq!(folder.error(images(&[("size", Value::Float(2.5))]), &[]).code, "E0407");
    assert_eq!(folder.error(call("images", &[("", text("ant"))]), &[]).code, "E0409");
    assert_eq!(folder.error(call("images", &[("", text("cow"))]), &[]).code, "E0401");
    std::fs::create_dir_all(folder.0.join("more/cow")).unwrap();
    assert_eq!(folder.error(images(&[("test", text("more"))]), &[]).code, "E0408");
}

#[test]
fn cifar_records_become_pictures() {
    let folder = Folder::new("cifar");
    let record = |label: u8| [&[label][..], &[10; 1024], &[20; 1024], &[30; 1024]].concat();
    folder.write("train.bin", [record(3), record(9)].concat());
    folder.write("test_batch.bin", record(1));
    let data = folder.open(call("cifar10", &[("", text("."))]), &[]).unwrap();
    assert_eq!(column(&data, Split::Train, "label"), [3.0, 9.0]);
    assert_eq!(column(&data, Split::Test, "image")[..4], [10.0, 20.0, 30.0, 10.0].map(|v| v / 255.0));
    assert_eq!(data.class_names("label")[9], "truck");
    folder.write("train.bin", [record(3), record(10)].concat());
    assert_eq!(folder.error(call("cifar10", &[("", text("."))]), &[]).code, "E0408");
    folder.write("train.bin", &record(3)[1..]);
    assert_eq!(folder.error(call("cifar10", &[("", text("."))]), &[]).code, "E0403");
    let Some(context) = shared("cifar10-jpeg") else { return };
    let schema = super::super::schema(&pipeline(call("cifar10", &[("", text("."))]), &[]), &context).unwrap();
    assert_eq!((schema.train_rows, schema.test_rows), (4000, 1000));
}

/// Two pictures of 8 x 8 with a gradient, as drawn in an epoch.
fn drawn(options: &[(&str, Value)], epoch: u64, rows: &[u32]) -> Vec<f64> {
    let folder = Folder::new("drawn");
    std::fs::create_dir(folder.0.join("a")).unwrap();
    for file in 0..2u8 {
        let pixels: Vec<u8> = (0..64).map(|k| 1 + k + 100 * file).collect();
        folder.write(&format!("a/{file}.png"), png(8, 8, 1, &pixels));
    }
    let steps = [call("augment", &[&[("", name("image"))], options].concat())];
    let data = folder.open(images(&[("channels", Value::Int(1))]), &steps).unwrap();
    assert!(data.varies());
    // Without a turn nothing is changed.
    assert_eq!(column(&data, Split::Train, "image")[63], 64.0 / 255.0);
    let mut out = Tensor::zeros(Type::new(DType::F64, vec![rows.len(), 8, 8, 1]));
    data.draw(Turn { seed: 5, epoch }, 0, rows, &mut out).unwrap();
    out.to_f64s().into_iter().map(|v| v * 255.0).collect()
}

#[test]
fn pictures_are_mirrored_and_moved() {
    let whole: Vec<f64> = (1..=64).map(f64::from).collect();
    let mirrored: Vec<f64> = whole.chunks(8).flat_map(|row| row.iter().rev().copied()).collect();
    let seen: Vec<Vec<f64>> = (1..20)
        .map(|epoch| drawn(&[("flip", text("horizontal"))], epoch, &[0]).iter().map(|v| v.round()).collect())
        .collect();
    assert!(seen.contains(&whole) && seen.contains(&mirrored));
    assert!(seen.iter().all(|picture| [&whole, &mirrored].contains(&picture)));
    for epoch in 1..20 {
        let moved = drawn(&[("crop", Value::Int(2))], epoch, &[0]);
        // What is left of the gradient keeps its steps, and the rest is 0.
        let inner: Vec<f64> = moved.iter().copied().filter(|v| *v > 0.5).collect();
        assert!(inner.len() >= 36 && (moved[8 * 4 + 4] - moved[8 * 4 + 3] - 1.0).abs() < 1e-9, "{moved:?}");
    }
}

#[test]
fn pictures_are_turned_erased_and_noisy() {
    let whole: Vec<f64> = (1..=64).map(f64::from).collect();
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    for epoch in 1..10 {
        let turned = drawn(&[("rotate", Value::Int(10)), ("scale", Value::Float(0.1))], epoch, &[0]);
        assert!(turned != whole);
        // The four pixels around the middle stay around it.
        let middle = mean(&[turned[27], turned[28], turned[35], turned[36]]);
        assert!((middle - 32.5).abs() < 0.5, "{middle}");
        let erased = drawn(&[("erase", Value::Int(3))], epoch, &[0]);
        let blank = erased.iter().filter(|v| **v == 0.0).count();
        assert!((1..=9).contains(&blank) || blank == 0, "{blank}");
        let noisy = drawn(&[("noise", Value::Float(0.1))], epoch, &[0]);
        let noise: Vec<f64> = noisy.iter().zip(&whole).map(|(a, b)| (a - b) / 25.5).collect();
        let deviation = mean(&noise.iter().map(|v| v * v).collect::<Vec<_>>()).sqrt();
        assert!((0.6..1.5).contains(&deviation), "{deviation}");
    }
    assert!((1..10).any(|epoch| drawn(&[("erase", Value::Int(3))], epoch, &[0]).contains(&0.0)));
}

#[test]
fn what_is_drawn_belongs_to_seed_epoch_and_row() {
    let all =
        [("flip", text("both")), ("crop", Value::Int(2)), ("rotate", Value::Int(20)), ("noise", Value::Float(0.01))];
    let both = drawn(&all, 3, &[0, 1]);
    assert_eq!(both[..64], drawn(&all, 3, &[0])[..]);
    assert_eq!(both[64..], drawn(&all, 3, &[1])[..]);
    assert_ne!(both, drawn(&all, 4, &[0, 1]));
}

#[test]
fn mixing_makes_labels_distributions() {
    let digits = call("synthetic.digits", &[("train", Value::Int(20)), ("test", Value::Int(5))]);
    let steps = [call("mixup", &[("", name("image")), ("", name("label")), ("alpha", Value::Float(0.4))])];
    let data = made(digits.clone(), &steps);
    let plain = made(digits, &[]);
    assert_eq!((data.schema().columns[1].is_float, data.schema().columns[1].shape.as_slice()), (true, &[10][..]));
    let draw = |column: usize, width: usize| {
        let rows: Vec<u32> = (0..20).collect();
        let mut out = Tensor::zeros(Type::new(DType::F64, vec![20, width]));
        data.draw(Turn { seed: 1, epoch: 1 }, column, &rows, &mut out).unwrap();
        out.to_f64s()
    };
    let labels = draw(1, 10);
    let own = column(&plain, Split::Train, "label");
    for (mixed, own) in labels.chunks(10).zip(&own) {
        assert!((mixed.iter().sum::<f64>() - 1.0).abs() < 1e-6 && mixed[*own as usize] >= 0.0);
    }
    assert!(labels.iter().any(|v| *v > 0.05 && *v < 0.95));
    // A picture is mixed with the weights of its label: where the other has another class, they can be read off.
    let pictures = column(&plain, Split::Train, "image");
    let mixed = draw(0, 784);
    for row in 0..20 {
        let weight = labels[row * 10 + own[row] as usize];
        let fits = (0..20).any(|other| {
            (0..784).all(|k| {
                let blend = weight * pictures[row * 784 + k] + (1.0 - weight) * pictures[other * 784 + k];
                (blend - mixed[row * 784 + k]).abs() < 1e-5
            })
        });
        assert!(fits || weight > 0.999, "row {row}");
    }
    // Test rows are not mixed.
    assert!(column(&data, Split::Test, "label").iter().all(|v| *v == 0.0 || *v == 1.0));
}

#[test]
fn wrong_augmentations_are_refused() {
    let digits = || call("synthetic.digits", &[("train", Value::Int(5)), ("test", Value::Int(2))]);
    let folder = Folder::new("wrong");
    let code = |step: &str, args: &[(&str, Value)]| folder.error(digits(), &[call(step, args)]).code;
    let image = || ("", name("image"));
    assert_eq!(code("augment", &[image()]), "E0407");
    assert_eq!(code("augment", &[("crop", Value::Int(2))]), "E0407");
    assert_eq!(code("augment", &[image(), ("flip", text("sideways"))]), "E0407");
    assert_eq!(code("augment", &[image(), ("crop", Value::Int(29))]), "E0407");
    assert_eq!(code("augment", &[image(), ("blur", Value::Int(2))]), "E0407");
    assert_eq!(code("augment", &[("", name("label")), ("crop", Value::Int(2))]), "E0409");
    assert_eq!(code("mixup", &[image()]), "E0407");
    assert_eq!(code("mixup", &[image(), ("", name("labels"))]), "E0404");
    let twice = call("augment", &[image(), ("crop", Value::Int(2))]);
    assert_eq!(folder.error(digits(), &[twice.clone(), twice.clone()]).code, "E0409");
    let flat = [call("flatten", &[image()]), twice.clone()];
    assert_eq!(folder.error(digits(), &flat).code, "E0409");
    let split = folder.error(
        call("synthetic.digits", &[("train", Value::Int(9)), ("test", Value::Int(0))]),
        &[twice, call("split", &[])],
    );
    assert_eq!(split.code, "E0409");
}
