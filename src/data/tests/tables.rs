//! `csv` and its errors.

use super::super::Split;
use super::*;

fn xy(file: &str, more: &[(&'static str, Value)]) -> Call {
    let mut args = vec![("", text(file)), ("x", texts(&["a", "b"])), ("y", text("y"))];
    args.extend_from_slice(more);
    call("csv", &args)
}

#[test]
fn columns_by_name_in_any_order() {
    let folder = Folder::new("order");
    folder.write("t.csv", "\u{feff}y,b,a\r\n1, 2 ,3\r\n4,5,6e0");
    let data = folder.open(xy("t.csv", &[]), &[]).unwrap();
    assert_eq!(column(&data, Split::Train, "x"), [3.0, 2.0, 6.0, 5.0]);
    assert_eq!(column(&data, Split::Train, "y"), [1.0, 4.0]);
    assert_eq!(data.schema().columns[1].shape, [0usize; 0]);
}

#[test]
fn a_test_file_follows_the_train_rows() {
    let folder = Folder::new("test-file");
    folder.write("a.tsv", "y\ta\tb\n1\t2\t3\n");
    folder.write("b.tsv", "a\tb\ty\n7\t8\t9\n5\t5\t5\n");
    let data = folder.open(xy("a.tsv", &[("test", text("b.tsv")), ("delimiter", text("\t"))]), &[]).unwrap();
    assert_eq!((data.schema().train_rows, data.schema().test_rows), (1, 2));
    assert_eq!(column(&data, Split::Test, "x"), [7.0, 8.0, 5.0, 5.0]);
}

#[test]
fn missing_values_are_filled_or_dropped_on_request() {
    let folder = Folder::new("missing");
    folder.write("t.csv", "a,b,y,other\n1,,3,\n4,5,6,NA\n,?,2,1\n");
    let error = folder.error(xy("t.csv", &[]), &[]);
    assert_eq!((error.code, error.notes[0].contains("line 2, field 1 (\"b\")")), ("E0405", true), "{error:?}");
    let filled = folder.open(xy("t.csv", &[("missing", Value::Int(-1)), ("na", texts(&["", "?"]))]), &[]).unwrap();
    assert_eq!(column(&filled, Split::Train, "x"), [1.0, -1.0, 4.0, 5.0, -1.0, -1.0]);
    let dropped = folder.open(xy("t.csv", &[("missing", text("drop"))]), &[]).unwrap();
    assert_eq!(column(&dropped, Split::Train, "x"), [4.0, 5.0]);
}

#[test]
fn errors_name_the_place() {
    let folder = Folder::new("places");
    folder.write("ragged.csv", "a,b,y\n\n1,2,3\n4,5\n");
    let error = folder.error(xy("ragged.csv", &[]), &[]);
    assert_eq!((error.code, error.notes[0].ends_with("ragged.csv, line 4")), ("E0406", true), "{error:?}");
    folder.write("text.csv", "a,b,y\n1,2,3\n4,five,6\n7,8,inf\n");
    let error = folder.error(xy("text.csv", &[]), &[]);
    assert_eq!(error.title, "\"five\" is not a number");
    assert!(error.notes[0].ends_with("line 3, field 1 (\"b\")"));
    assert_eq!(folder.open(xy("text.csv", &[]), &[]).unwrap_err().len(), 2);
    folder.write("empty.csv", "a,b,y\n");
    assert_eq!(folder.error(xy("empty.csv", &[]), &[]).code, "E0409");
    folder.write("nothing.csv", "");
    assert_eq!(folder.error(xy("nothing.csv", &[]), &[]).code, "E0409");
    folder.write("latin1.csv", b"a,b,y\n1,2,\xff\n");
    assert_eq!(folder.error(xy("latin1.csv", &[]), &[]).code, "E0402");
    assert_eq!(folder.error(xy("absent.csv", &[]), &[]).code, "E0401");
    assert_eq!(folder.error(xy("", &[]), &[]).code, "E0401");
}

#[test]
fn names_that_do_not_exist_come_with_a_suggestion() {
    let folder = Folder::new("names");
    folder.write("t.csv", "aa,b,yield\n1,2,3\n");
    let error = folder.error(call("csv", &[("", text("t.csv")), ("x", text("yeild"))]), &[]);
    assert_eq!((error.code, error.help.as_deref()), ("E0404", Some("did you mean 'yield'?")));
    assert_eq!(error.primary(), Some(span(101)));
    let error = folder.error(call("csv", &[("", text("t.csv")), ("x", text("b")), ("delimeter", text(";"))]), &[]);
    assert_eq!(error.help.as_deref(), Some("did you mean 'delimiter'?"));
    let error = folder.error(call("csv", &[("", text("t.csv")), ("x", Value::Int(3))]), &[]);
    assert_eq!(error.code, "E0404");
    let error = folder.error(call("cvs", &[]), &[]);
    assert_eq!((error.code, error.help.as_deref()), ("E0407", Some("did you mean 'csv'?")));
}

#[test]
fn labels_are_coded_in_a_known_order() {
    let folder = Folder::new("labels");
    folder.write("t.csv", "k,n\npear,10\napple,9\npear,9\n");
    let label = |field: &str, more: &[(&'static str, Value)]| {
        let mut args = vec![("", text(field))];
        args.extend_from_slice(more);
        call("csv", &[("", text("t.csv")), ("label", nested("label", &args))])
    };
    let data = folder.open(label("k", &[]), &[]).unwrap();
    assert_eq!(column(&data, Split::Train, "label"), [1.0, 0.0, 1.0]);
    let data = folder.open(label("n", &[]), &[]).unwrap();
    assert_eq!(column(&data, Split::Train, "label"), [1.0, 0.0, 0.0], "9 before 10");
    let data = folder.open(label("k", &[("classes", texts(&["pear", "apple", "fig"]))]), &[]).unwrap();
    assert_eq!(column(&data, Split::Train, "label"), [0.0, 1.0, 0.0]);
    assert_eq!(data.schema().columns[0].classes, Some(3));
    let error = folder.error(label("k", &[("classes", texts(&["pear"]))]), &[]);
    assert_eq!((error.code, error.title.as_str()), ("E0408", "\"apple\" is not one of the classes"));
    let error = folder.error(label("k", &[("classes", texts(&["pear", "pear", "apple"]))]), &[]);
    assert_eq!((error.code, error.primary()), ("E0407", Some(span(101))));
}

#[test]
fn a_table_without_named_columns_has_all_of_them() {
    let folder = Folder::new("inferred");
    let rows: String = (0..30).map(|i| format!("{i}.5,{},note number {i},\n", ["red", "blue"][i % 2])).collect();
    folder.write("t.csv", format!("Size (mm),colour,remark,empty\n{rows}"));
    let steps = [call("tokenize", &[("", name("remark")), ("length", Value::Int(3))])];
    let read = call("csv", &[("", text("t.csv")), ("missing", Value::Int(0))]);
    let data = folder.open(read, &steps).unwrap();
    let kinds: Vec<_> = data.schema().columns.iter().map(|c| (c.name.as_str(), c.is_float, c.classes)).collect();
    assert_eq!(kinds[..2], [("size_mm", true, None), ("colour", false, Some(2))]);
    assert_eq!((kinds[2].0, kinds[3]), ("remark", ("empty", true, None)));
    assert_eq!(column(&data, Split::Train, "size_mm")[..2], [0.5, 1.5]);
    folder.write("plain.csv", "1,a\n2,b\n");
    let plain = folder.open(call("csv", &[("", text("plain.csv"))]), &[]).unwrap();
    let names: Vec<_> = plain.schema().columns.iter().map(|c| c.name.as_str()).collect();
    assert_eq!((names, plain.schema().train_rows), (vec!["field_0", "field_1"], 2));
    folder.write("nothing.csv", "");
    assert_eq!(folder.error(call("csv", &[("", text("nothing.csv"))]), &[]).code, "E0409");
}
