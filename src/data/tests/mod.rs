//! Tests of the data part: pipelines are built as the checker would build them.

mod arrays;
mod hostile;
mod images;
mod parquet;
mod reference;
mod steps;
mod streamed;
mod synthetic;
mod tables;
mod text;

use super::spec::{Arg, Call, Pipeline, Value};
use super::{Context, Dataset, Split};
use crate::diag::Diagnostic;
use crate::ir::types::{DType, Type};
use crate::runtime::Tensor;
use crate::source::{FileId, Span};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Each argument has its own span, so that tests can see which one an error points at.
pub fn span(n: usize) -> Span {
    Span::new(FileId(0), n, n + 1)
}

pub fn call(name: &str, args: &[(&str, Value)]) -> Call {
    let args = args.iter().enumerate().map(|(i, (name, value))| Arg {
        name: (!name.is_empty()).then(|| name.to_string()),
        value: value.clone(),
        span: span(100 + i),
        named_at: None,
    });
    Call { name: name.into(), args: args.collect(), span: span(1) }
}

pub fn text(v: &str) -> Value {
    Value::Str(v.into())
}

pub fn texts(v: &[&str]) -> Value {
    Value::List(v.iter().map(|v| text(v)).collect())
}

pub fn ints(v: &[i64]) -> Value {
    Value::List(v.iter().map(|v| Value::Int(*v)).collect())
}

pub fn name(v: &str) -> Value {
    Value::Name(v.into())
}

pub fn nested(name: &str, args: &[(&str, Value)]) -> Value {
    Value::Call(Box::new(call(name, args)))
}

pub fn pipeline(source: Call, steps: &[Call]) -> Pipeline {
    Pipeline { name: "data".into(), source, steps: steps.to_vec(), span: span(0) }
}

/// A folder for the files of one test, removed at the end.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new(test: &str) -> Folder {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let (process, count) = (std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(format!("optc-data-{process}-{count}-{test}"));
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        std::fs::write(self.0.join(name), bytes).unwrap();
    }

    pub fn context(&self) -> Context {
        Context { data_dir: Some(self.0.clone()), file_dir: None }
    }

    pub fn open(&self, source: Call, steps: &[Call]) -> Result<Dataset, Vec<Diagnostic>> {
        let pipeline = pipeline(source, steps);
        let opened = super::open(&pipeline, &self.context());
        if let Ok(dataset) = &opened {
            assert_eq!(
                super::schema(&pipeline, &self.context()).as_ref(),
                Ok(dataset.schema()),
                "schema agrees with open"
            );
        }
        opened
    }

    /// The first error of a pipeline that must fail.
    pub fn error(&self, source: Call, steps: &[Call]) -> Diagnostic {
        match self.open(source, steps) {
            Ok(data) => panic!("opened: {:?}", data.schema()),
            Err(errors) => errors.into_iter().next().expect("at least one error"),
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Data that needs no file.
pub fn made(source: Call, steps: &[Call]) -> Dataset {
    Folder::new("made").open(source, steps).unwrap_or_else(|errors| panic!("{errors:#?}"))
}

/// All values of a column as f64.
pub fn column(data: &Dataset, split: Split, name: &str) -> Vec<f64> {
    gather(data, split, name, DType::F64).to_f64s()
}

pub fn gather(data: &Dataset, split: Split, name: &str, dtype: DType) -> Tensor {
    let index = data.schema().columns.iter().position(|c| c.name == name).expect("a column");
    let rows: Vec<u32> = (0..data.rows(split) as u32).collect();
    let mut shape = vec![rows.len()];
    shape.extend(&data.schema().columns[index].shape);
    let mut out = Tensor::zeros(Type::new(dtype, shape));
    data.gather(split, index, &rows, &mut out).unwrap();
    out
}

/// The folder of reference data, or `None` with the reason printed.
pub fn shared(path: &str) -> Option<Context> {
    let dir = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data")).join(path);
    if !dir.exists() {
        println!("skipped: {} does not exist", dir.display());
        return None;
    }
    Some(Context { data_dir: Some(dir), file_dir: None })
}
