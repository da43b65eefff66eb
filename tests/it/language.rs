//! Text of the language to graphs: expressions with inputs, and train items.

use optc::data::spec::{Column, Pipeline, Schema};
use optc::diag::Diagnostic;
use optc::diag::render::render;
use optc::ir::{DType, Graph, Type};
use optc::sema::program::Program;
use optc::sema::{BuildOptions, Modules, eval_graph, load, program};
use optc::source::SourceMap;
use optc::syntax::parse_expr;
use std::sync::Arc;

/// A file with the whole library in scope, in which expressions are evaluated.
pub struct Scope {
    sources: SourceMap,
    modules: Arc<Modules>,
}

impl Scope {
    /// `text` is the file: definitions that the expressions may use.
    pub fn new(text: &str) -> Scope {
        let mut sources = SourceMap::new();
        let file = sources.add("test.opt", text);
        let (modules, diags) = load(&mut sources, file, true, &|_| Err("no files".into()));
        assert!(diags.is_empty(), "{}", render(&sources, &diags, false));
        Scope { sources, modules }
    }

    /// The graph of an expression: its value and the gradients of its product with a cotangent.
    pub fn graph(
        &mut self,
        text: &str,
        lets: &[(String, Type)],
        float: DType,
        grads: &[String],
        cotangent: bool,
    ) -> Result<Graph, String> {
        let id = self.sources.add("expression", text);
        let failed = |sources: &SourceMap, diags: &[Diagnostic]| render(sources, diags, false);
        let expr = parse_expr(&self.sources, id).map_err(|d| failed(&self.sources, &d))?;
        let made = eval_graph(&self.modules, &self.sources, &expr, lets, float, grads, cotangent);
        made.map(|m| m.graph).map_err(|d| failed(&self.sources, &d))
    }
}

/// The program of the first train item of a file, and its data. `schema` describes the data.
pub fn train_program(
    text: &str,
    float: DType,
    schema: &dyn Fn(&Pipeline) -> Result<Schema, Vec<Diagnostic>>,
) -> (Program, Pipeline) {
    let mut sources = SourceMap::new();
    let file = sources.add("test.opt", text);
    let (modules, diags) = load(&mut sources, file, false, &|_| Err("no files".into()));
    assert!(diags.is_empty(), "{}", render(&sources, &diags, false));
    let sources = Arc::new(sources);
    let options = BuildOptions { float, schema, overrides: vec![] };
    let train = modules.trains().next().expect("a train item");
    program(&modules, &sources, train, &options).unwrap_or_else(|d| panic!("{}", render(&sources, &d, false)))
}

/// The program of a train item on columns that the test fills, whatever its data item says.
pub fn on_columns(text: &str, float: DType, columns: &[Column], rows: usize) -> Program {
    let schema = Schema { columns: columns.to_vec(), train_rows: rows, test_rows: 0 };
    train_program(text, float, &|_| Ok(schema.clone())).0
}
