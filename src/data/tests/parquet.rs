//! `parquet`, behind its feature: files written by the library itself.

use super::*;

#[cfg(not(feature = "parquet"))]
#[test]
fn parquet_needs_its_feature() {
    let folder = Folder::new("parquet-off");
    let error = folder.error(call("parquet", &[("", text("t.parquet"))]), &[]);
    assert_eq!((error.code, error.labels[0].span), ("E0414", span(1)));
    assert!(error.help.unwrap().contains("--features parquet"));
}

#[cfg(feature = "parquet")]
mod on {
    use super::super::super::Split;
    use super::*;
    use ::parquet::basic::Compression;
    use ::parquet::data_type::{BoolType, ByteArray, ByteArrayType, DoubleType, FloatType, Int32Type, Int64Type};
    use ::parquet::file::properties::WriterProperties;
    use ::parquet::file::writer::SerializedFileWriter;
    use ::parquet::schema::parser::parse_message_type;
    use std::sync::Arc;

    const SCHEMA: &str = "message table {
        required double a; optional float b; required int64 n; required int32 u (UINT_32); required int32 price (DECIMAL(9, 2));
        required boolean flag; optional binary kind (UTF8); required binary note (UTF8); repeated int32 list;
    }";

    fn kind(row: usize) -> Option<&'static str> {
        [Some("red"), Some("green"), None, Some("blue"), Some("red")][row % 5]
    }

    fn b(row: usize) -> Option<f32> {
        (row % 7 != 3).then_some(if row == 8 { f32::NAN } else { row as f32 * 0.1 })
    }

    /// A file with groups of so many rows.
    fn file(rows: usize, group: usize, compression: Compression) -> Vec<u8> {
        let schema = Arc::new(parse_message_type(SCHEMA).unwrap());
        let properties = Arc::new(WriterProperties::builder().set_compression(compression).build());
        let mut out = vec![];
        let mut writer = SerializedFileWriter::new(&mut out, schema, properties).unwrap();
        for from in (0..rows).step_by(group) {
            let rows = || from..rows.min(from + group);
            let mut group = writer.next_row_group().unwrap();
            macro_rules! column {
                ($ty:ty, $values:expr, $levels:expr) => {
                    let mut column = group.next_column().unwrap().unwrap();
                    let (values, levels): (Vec<_>, Option<Vec<i16>>) = ($values, $levels);
                    column.typed::<$ty>().write_batch(&values, levels.as_deref(), None).unwrap();
                    column.close().unwrap();
                };
            }
            let texts = |all: Vec<String>| all.into_iter().map(|s| ByteArray::from(s.into_bytes())).collect();
            column!(DoubleType, rows().map(|r| r as f64 - 3.5).collect(), None);
            column!(FloatType, rows().filter_map(b).collect(), Some(rows().map(|r| b(r).is_some().into()).collect()));
            column!(Int64Type, rows().map(|r| r as i64 * 1000).collect(), None);
            column!(Int32Type, rows().map(|r| -1 - r as i32).collect(), None);
            column!(Int32Type, rows().map(|r| r as i32 * 25).collect(), None);
            column!(BoolType, rows().map(|r| r % 3 == 0).collect(), None);
            column!(
                ByteArrayType,
                texts(rows().filter_map(kind).map(String::from).collect()),
                Some(rows().map(|r| kind(r).is_some().into()).collect())
            );
            column!(ByteArrayType, texts(rows().map(|r| format!("note {r}")).collect()), None);
            let mut list = group.next_column().unwrap().unwrap();
            let (values, levels): (Vec<i32>, Vec<i16>) =
                (rows().map(|r| r as i32).collect(), rows().map(|_| 1).collect());
            list.typed::<Int32Type>()
                .write_batch(&values, Some(&levels), Some(&levels.iter().map(|_| 0).collect::<Vec<_>>()))
                .unwrap();
            list.close().unwrap();
            group.close().unwrap();
        }
        writer.close().unwrap();
        out
    }

    /// The same table as text.
    fn same_as_text(rows: usize) -> String {
        let mut out = String::from("a,b,n,u,price,flag,kind,note\n");
        for r in 0..rows {
            let b = b(r).filter(|v| !v.is_nan()).map_or(String::new(), |v| f64::from(v).to_string());
            let (a, n, u, price) = (r as f64 - 3.5, r * 1000, u32::MAX - r as u32, r as f64 * 25.0 / 100.0);
            let (flag, kind) = (u8::from(r % 3 == 0), kind(r).unwrap_or(""));
            out += &format!("{a},{b},{n},{u},{price},{flag},{kind},note {r}\n");
        }
        out
    }

    fn source(name: &str, file: &str, more: &[(&'static str, Value)]) -> Call {
        let fields = [
            ("", text(file)),
            ("x", texts(&["a", "b", "price"])),
            ("n", text("n")),
            ("u", text("u")),
            ("flag", nested("label", &[("", text("flag"))])),
            ("kind", nested("label", &[("", text("kind"))])),
            ("note", nested("text", &[("", text("note"))])),
        ];
        call(name, &[&fields[..], more].concat())
    }

    #[test]
    fn parquet_is_the_table_that_it_was() {
        let folder = Folder::new("parquet");
        folder.write("t.csv", same_as_text(5000));
        let keep = ("missing", text("keep"));
        let steps = [
            call("split", &[("every", Value::Int(4))]),
            call("impute", &[("", name("x")), ("by", text("median"))]),
            call("impute", &[("", name("kind"))]),
            call("tokenize", &[("", name("note"))]),
        ];
        let expected = folder.open(source("csv", "t.csv", std::slice::from_ref(&keep)), &steps).unwrap();
        for (compression, group) in [
            (Compression::UNCOMPRESSED, 5000),
            (Compression::SNAPPY, 1700),
            (Compression::ZSTD(Default::default()), 999),
            (Compression::GZIP(Default::default()), 1024),
        ] {
            folder.write("t.parquet", file(5000, group, compression));
            for stream in [false, true] {
                let options = [keep.clone(), ("stream", Value::Bool(stream))];
                let data = folder.open(source("parquet", "t.parquet", &options), &steps).unwrap();
                assert_eq!(data.schema(), expected.schema());
                for found in &data.schema().columns {
                    for split in [Split::Train, Split::Test] {
                        let of = |data| column(data, split, &found.name);
                        assert_eq!(of(&data), of(&expected), "{} {compression:?}", found.name);
                    }
                }
                assert_eq!(data.class_names("kind"), ["blue", "green", "red"]);
            }
        }
    }

    #[test]
    fn parquet_errors_name_the_place() {
        let folder = Folder::new("parquet-errors");
        folder.write("t.parquet", file(50, 20, Compression::SNAPPY));
        let missing = folder.error(source("parquet", "t.parquet", &[]), &[]);
        assert_eq!(missing.code, "E0405");
        assert!(missing.notes[0].ends_with("row 2 (counted from 0), field 6 (\"kind\")"), "{missing:?}");
        let stranger = folder.error(call("parquet", &[("", text("t.parquet")), ("x", text("pric"))]), &[]);
        assert_eq!((stranger.code, stranger.help.as_deref()), ("E0404", Some("did you mean 'price'?")));
        let list = folder.error(call("parquet", &[("", text("t.parquet"))]), &[]);
        assert_eq!(list.code, "E0402");
        let word = folder.error(call("parquet", &[("", text("t.parquet")), ("x", text("note"))]), &[]);
        assert_eq!(word.title, "\"note 0\" is not a number");
        folder.write("cut.parquet", &file(50, 20, Compression::SNAPPY)[..300]);
        assert_eq!(folder.error(source("parquet", "cut.parquet", &[]), &[]).code, "E0402");
    }

    /// Any damage ends in a diagnostic, or in values.
    #[test]
    fn parquet_may_be_damaged() {
        let folder = Folder::new("parquet-hostile");
        let whole = file(200, 90, Compression::SNAPPY);
        let mut random = super::super::super::random::Random::new(4, 4);
        std::panic::set_hook(Box::new(|_| {}));
        for _ in 0..300 {
            let mut bytes = whole.clone();
            for _ in 0..1 + random.below(3) {
                let at = random.below(bytes.len());
                bytes[at] = random.bits() as u8;
            }
            folder.write("t.parquet", bytes);
            let keep = [("missing", text("keep"))];
            let _ = super::super::super::open(&pipeline(source("parquet", "t.parquet", &keep), &[]), &folder.context());
        }
        let _ = std::panic::take_hook();
    }
}
