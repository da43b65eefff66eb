//! A program's text taken through the front half of the compiler, as `optc check` and `optc run` do it.

use optc::data::{self, Context};
use optc::diag::{Diagnostic, render};
use optc::ir::DType;
use optc::runtime::Tensor;
use optc::sema::program::Program;
use optc::sema::{self, BuildOptions};
use optc::source::SourceMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub struct Checked {
    pub sources: Arc<SourceMap>,
    pub diags: Vec<Diagnostic>,
    /// Of each train item that is right.
    pub programs: Vec<Program>,
}

impl Checked {
    pub fn report(&self) -> String {
        render::render(&self.sources, &self.diags, false)
    }

    pub fn codes(&self) -> Vec<&'static str> {
        self.diags.iter().map(|d| d.code).collect()
    }
}

/// Parses, resolves, and elaborates every train item.
pub fn check(name: &str, text: &str, folder: &Path) -> Checked {
    check_with(name, text, &Context { data_dir: None, file_dir: Some(folder.to_path_buf()) })
}

pub fn check_with(name: &str, text: &str, context: &Context) -> Checked {
    let mut sources = SourceMap::new();
    let file = sources.add(name, text);
    let folder = context.file_dir.clone().unwrap_or_default();
    let read = |used: &str| std::fs::read_to_string(folder.join(used)).map_err(|e| e.to_string());
    let (modules, mut diags) = sema::load(&mut sources, file, false, &read);
    diags.extend(sema::resolve::resolve(&modules));
    let sources = Arc::new(sources);
    let mut programs = vec![];
    let schema = |pipeline: &data::spec::Pipeline| data::schema(pipeline, context);
    let options = BuildOptions { float: DType::F32, schema: &schema, overrides: vec![] };
    // Also when there are errors: the checker reports all of a file.
    for train in modules.trains() {
        match sema::program(&modules, &sources, train, &options) {
            Ok((program, _)) => programs.push(program),
            Err(found) => diags.extend(found),
        }
    }
    Checked { sources, diags, programs }
}

pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The `.opt` files directly in a folder, sorted by name, with their texts.
pub fn programs_in(folder: &str) -> Vec<(String, String)> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(root().join(folder))
        .expect("the folder is part of the repository")
        .map(|entry| entry.expect("a readable entry").path())
        .filter(|path| path.extension().is_some_and(|e| e == "opt"))
        .collect();
    files.sort();
    let name = |path: &Path| path.file_name().expect("a file").to_string_lossy().into_owned();
    files.iter().map(|p| (name(p), std::fs::read_to_string(p).expect("UTF-8 text"))).collect()
}

/// Whether an example reads files that are not part of the repository.
pub fn needs_files(text: &str) -> bool {
    text.contains("--data FOLDER")
}

/// Real data sets beside the repository, if this machine has them; says so if not.
pub fn shared_data() -> Option<PathBuf> {
    let path = root().join("../shared/data");
    if !path.is_dir() {
        println!("skipped: there is no folder ../shared/data beside the repository");
        return None;
    }
    Some(path)
}

/// The elements of an expression's value, with the library in scope, in f64.
pub fn eval(text: &str) -> Result<Vec<f64>, String> {
    let mut sources = SourceMap::new();
    let empty = sources.add("empty.opt", "");
    let (modules, _) = sema::load(&mut sources, empty, true, &|_| Err("no files here".into()));
    let file = sources.add("expression", text);
    let show = |diags: Vec<Diagnostic>| render::render(&sources, &diags, false);
    let expr = optc::syntax::parse_expr(&sources, file).map_err(show)?;
    let made = sema::eval_graph(&modules, &sources, &expr, &[], DType::F64, &[], false).map_err(show)?;
    let inputs: Vec<Tensor> = made.graph.inputs.iter().map(|i| Tensor::zeros(i.ty.clone())).collect();
    let refs: Vec<&Tensor> = inputs.iter().collect();
    Ok(optc::interp::eval(&made.graph, &refs)[0].to_f64s())
}
