//! Hostile and damaged files end in diagnostics: any bytes, and valid files with bytes changed or cut off.

use super::arrays::{gzip, idx, npz};
use super::*;
use ndarray::{Array1, Array2};
use ndarray_npy::WriteNpyExt;
use proptest::prelude::*;

/// Opens a file in every format; the outcome does not matter, but there must be one.
fn open_all(folder: &Folder, bytes: &[u8]) {
    folder.write("f", bytes);
    let columns = |names: &[&str]| -> Vec<(&'static str, Value)> {
        ["x", "y"].into_iter().zip(names.iter().map(|n| text(n))).collect()
    };
    let csv =
        [("", text("f")), ("x", nested("except", &[("", ints(&[0]))])), ("y", nested("label", &[("", Value::Int(0))]))];
    let drop = [csv.to_vec(), vec![("missing", text("drop")), ("header", Value::Bool(true))]].concat();
    let keep = [csv.to_vec(), vec![("missing", text("keep"))]].concat();
    let npz = [vec![("", text("f"))], columns(&["x", "y"])].concat();
    let streamed = |args: &[(&'static str, Value)]| [args, &[("stream", Value::Bool(true))]].concat();
    let sources = [
        call("idx", &columns(&["f"])),
        call("npy", &columns(&["f"])),
        call("npz", &npz),
        call("csv", &csv),
        call("csv", &drop),
        call("csv", &keep),
        call("idx", &streamed(&columns(&["f"]))),
        call("npy", &streamed(&columns(&["f"]))),
        call("npz", &streamed(&npz)),
        call("csv", &streamed(&csv)),
        call("csv", &streamed(&keep)),
        call("csv", &streamed(&[("", text("f"))])),
    ];
    let steps = [
        call("split", &[("every", Value::Int(2))]),
        call("impute", &[("", name("x"))]),
        call("standardize", &[("", name("x"))]),
        call("normalize", &[("", name("x"))]),
        call("one_hot", &[("", name("y"))]),
    ];
    for source in sources {
        for steps in [&steps[..0], &steps[..1], &steps[..]] {
            let pipeline = pipeline(source.clone(), steps);
            let _ = super::super::schema(&pipeline, &folder.context());
            if let Ok(data) = super::super::open(&pipeline, &folder.context()) {
                for c in &data.schema().columns {
                    column(&data, Split::Train, &c.name);
                    column(&data, Split::Test, &c.name);
                }
            }
        }
    }
}

/// Small valid files of every format.
fn valid() -> Vec<Vec<u8>> {
    let mut npy = vec![];
    Array2::from_elem((3, 2), 1.5f32).write_npy(&mut npy).unwrap();
    let mut labels = vec![];
    Array1::from(vec![1i64, 0, 2]).write_npy(&mut labels).unwrap();
    let zip = |packed| npz(packed, &[("x", &npy), ("y", &labels)]);
    let images = idx(&[3, 2, 2], &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
    let table = b"k,a,b\nu,1,2\nv,3,4\n\"w\",5,NA\n".to_vec();
    vec![zip(false), zip(true), npy, gzip(&images), images, table]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        open_all(&Folder::new("any"), &bytes);
    }

    #[test]
    fn any_table(text in "[0-9a,.\"\\n\\r; -]{0,60}") {
        open_all(&Folder::new("table"), text.as_bytes());
    }

    #[test]
    fn changed_files(file in 0..6usize, cut in 0.0..1.5f64, changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4)) {
        let mut bytes = valid().swap_remove(file);
        bytes.truncate((cut * bytes.len() as f64) as usize);
        for (at, byte) in changes {
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
        }
        open_all(&Folder::new("changed"), &bytes);
    }
}

#[test]
fn a_zip_bomb_stops_at_its_declared_size() {
    let folder = Folder::new("bomb");
    // 64 MB of zeros in 64 kB, declared as 4 bytes.
    let mut bytes = idx(&[4], &[]);
    bytes.resize(64 << 20, 0);
    folder.write("f", gzip(&bytes));
    assert_eq!(folder.error(call("idx", &[("x", text("f"))]), &[]).code, "E0403");
}

#[test]
fn folders_and_devices_are_not_files() {
    let folder = Folder::new("folder");
    std::fs::create_dir_all(folder.0.join("d")).unwrap();
    for path in ["d", "/dev/zero"] {
        assert_eq!(folder.error(call("idx", &[("x", text(path))]), &[]).code, "E0401");
        assert_eq!(folder.error(call("csv", &[("", text(path)), ("x", Value::Int(0))]), &[]).code, "E0401");
    }
}
