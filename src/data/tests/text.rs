//! Windows of a text.

use super::super::{Split, Turn};
use super::*;

const POEM: &str = "the cat sat\nthe dog sat\nthe cat ran\n";

fn source(options: &[(&str, Value)]) -> Call {
    let file = [("", text("poem.txt"))];
    call("text", &[&file[..], options].concat())
}

#[test]
fn a_window_and_the_one_a_token_later() {
    let folder = Folder::new("windows");
    folder.write("poem.txt", POEM);
    let context = ("context", Value::Int(4));
    let data = folder.open(source(&[context.clone(), ("test", Value::Float(1.0 / 3.0))]), &[]).unwrap();
    let schema = data.schema();
    let kinds: Vec<_> = schema.columns.iter().map(|c| (c.name.as_str(), &c.shape[..], c.classes)).collect();
    let letters = POEM.chars().collect::<std::collections::BTreeSet<char>>().len();
    assert_eq!(kinds, [("text", &[4][..], Some(letters)), ("next", &[4][..], Some(letters))]);
    // 24 characters are 5 windows of 4 and one more; the 12 of the test part 2.
    assert_eq!((schema.train_rows, schema.test_rows), (5, 2));
    let vocabulary = data.vocabulary("text").expect("a column of tokens");
    let spelt = |split, name| {
        let numbers: Vec<i32> = column(&data, split, name).into_iter().map(|v| v as i32).collect();
        vocabulary.decode(&numbers)
    };
    assert_eq!(spelt(Split::Train, "text"), POEM[..20]);
    assert_eq!(spelt(Split::Train, "next"), POEM[1..21]);
    assert_eq!(spelt(Split::Test, "text"), POEM[24..32]);
    assert_eq!(spelt(Split::Test, "next"), POEM[25..33]);
    assert!(data.varies() && data.vocabulary("no such column").is_none());
    let strided = folder.open(source(&[context, ("stride", Value::Int(1)), ("test", Value::Int(0))]), &[]).unwrap();
    assert_eq!((strided.schema().train_rows, strided.schema().test_rows, strided.varies()), (32, 0, false));
}

#[test]
fn a_drawn_window_depends_on_seed_epoch_and_row_alone() {
    let data = made(call("synthetic.text", &[("context", Value::Int(16)), ("characters", Value::Int(5000))]), &[]);
    let draw = |seed, epoch, rows: &[u32]| {
        let mut out = Tensor::zeros(Type::new(DType::I32, vec![rows.len(), 16]));
        data.draw(Turn { seed, epoch }, 0, rows, &mut out).unwrap();
        out.i32s_mut().to_vec()
    };
    let both = draw(1, 2, &[5, 7]);
    assert_eq!(both[..16], draw(1, 2, &[5])[..]);
    assert_eq!(both[16..], draw(1, 2, &[7])[..]);
    assert_ne!(draw(1, 2, &[5]), draw(1, 3, &[5]));
    assert_ne!(draw(1, 2, &[5]), draw(2, 2, &[5]));
}

#[test]
fn every_kind_of_tokens_spells_the_text() {
    let folder = Folder::new("tokens");
    folder.write("poem.txt", format!("\u{feff}{}", POEM.to_uppercase().repeat(9)));
    for (kind, size) in [("characters", 13), ("words", 7), ("bpe", 258)] {
        let mut options = vec![("context", Value::Int(5)), ("tokens", text(kind)), ("lower", Value::Bool(true))];
        if kind == "bpe" {
            options.push(("vocabulary", Value::Int(258)));
        }
        let data = folder.open(source(&options), &[]).unwrap();
        let vocabulary = data.vocabulary("next").expect("a column of tokens");
        assert_eq!(vocabulary.len(), size, "{kind}");
        assert_eq!(data.schema().columns[0].classes, Some(size));
        assert_eq!(vocabulary.decode(&vocabulary.encode(POEM).expect("its characters are known")), POEM);
    }
}

#[test]
fn wrong_texts_and_arguments_have_messages() {
    let folder = Folder::new("wrong-texts");
    folder.write("poem.txt", POEM);
    folder.write("bytes.txt", b"abc\xff");
    folder.write("empty.txt", "");
    let code = |options: &[(&str, Value)]| folder.error(source(options), &[]).code;
    let context = |n| ("context", Value::Int(n));
    assert_eq!(code(&[]), "E0407");
    assert_eq!(code(&[context(0)]), "E0407");
    assert_eq!(code(&[context(40)]), "E0409");
    assert_eq!(code(&[context(8)]), "E0409", "the test part is too short");
    assert_eq!(code(&[context(3), ("tokens", text("letters"))]), "E0407");
    assert_eq!(code(&[context(3), ("vocabulary", Value::Int(9))]), "E0407");
    assert_eq!(code(&[context(2), ("test", Value::Float(1.5))]), "E0407");
    let file = |name: &str| folder.error(call("text", &[("", text(name)), context(2)]), &[]).code;
    assert_eq!((file("bytes.txt"), file("empty.txt"), file("none.txt")), ("E0402", "E0409", "E0401"));
    let split = [call("split", &[])];
    assert_eq!(folder.error(source(&[context(2), ("test", Value::Int(0))]), &split).code, "E0409");
}

#[test]
fn tiny_shakespeare_has_65_characters() {
    let Some(context) = shared("tinyshakespeare") else { return };
    let source = call("text", &[("", text("input.txt")), ("context", Value::Int(64))]);
    let schema = super::super::schema(&pipeline(source, &[]), &context).unwrap();
    assert_eq!(schema.columns[0].classes, Some(65));
    // 1,003,854 and 111,540 characters.
    assert_eq!((schema.train_rows, schema.test_rows), (15_685, 1_742));
}

/// The first two rows are for training.
fn messages() -> Folder {
    let folder = Folder::new("messages");
    folder.write("t.csv", "id,first,second\n7,Win a PRIZE,a prize\n8,call me,\n9,a \"new\" win,call\n");
    folder
}

fn table(columns: &[(&str, Value)]) -> Call {
    call("csv", &[&[("", text("t.csv")), ("quotes", Value::Bool(false))], columns].concat())
}

#[test]
fn columns_of_text_become_rows_of_tokens() {
    let folder = messages();
    let source = table(&[("id", text("id")), ("note", nested("text", &[("", texts(&["first", "second"]))]))]);
    let last = call("split", &[("last", Value::Int(1))]);
    let steps = [last.clone(), call("tokenize", &[("", name("note")), ("length", Value::Int(4))])];
    let data = folder.open(source.clone(), &steps).unwrap();
    // Of the train rows: a and prize twice, then call, me, win.
    let vocabulary = data.vocabulary("note").expect("a column of tokens");
    let tokens: Vec<String> = (0..vocabulary.len() as i32).map(|n| vocabulary.token(n)).collect();
    assert_eq!(tokens, ["<padding>", "<unknown>", "a", "prize", "call", "me", "win"]);
    assert_eq!(data.schema().columns[1].shape, [4]);
    assert_eq!(data.schema().columns[1].classes, Some(7));
    assert_eq!(column(&data, Split::Train, "note"), [6., 2., 3., 2., 4., 5., 0., 0.]);
    assert_eq!(column(&data, Split::Test, "note"), [2., 1., 6., 4.]);
    let pairs =
        [("", name("note")), ("tokens", text("bpe")), ("vocabulary", Value::Int(260)), ("length", Value::Int(40))];
    let data = folder.open(source, &[last, call("tokenize", &pairs)]).unwrap();
    let row: Vec<i32> = column(&data, Split::Test, "note").into_iter().map(|v| v as i32).collect();
    assert_eq!(data.vocabulary("note").expect("as above").decode(&row), "a \"new\" win call");
}

#[test]
fn text_must_become_tokens() {
    let folder = messages();
    let source = || table(&[("id", text("id")), ("note", nested("text", &[("", text("first"))]))]);
    let tokenize = |args: &[(&str, Value)]| [call("tokenize", args)];
    assert_eq!(folder.error(source(), &[]).code, "E0409");
    assert_eq!(folder.error(source(), &tokenize(&[])).code, "E0407");
    assert_eq!(folder.error(source(), &tokenize(&[("", name("id"))])).code, "E0409");
    assert_eq!(folder.error(source(), &tokenize(&[("", name("notes"))])).code, "E0404");
    assert_eq!(folder.error(source(), &tokenize(&[("", name("note")), ("tokens", text("characters"))])).code, "E0407");
    assert_eq!(folder.error(source(), &tokenize(&[("", name("note")), ("length", Value::Int(0))])).code, "E0407");
    assert_eq!(folder.error(source(), &[call("standardize", &[("", name("note"))])]).code, "E0409");
    assert_eq!(folder.error(source(), &[call("one_hot", &[("", name("note"))])]).code, "E0409");
    assert_eq!(folder.error(source(), &[call("flatten", &[("", name("note"))])]).code, "E0409");
}
