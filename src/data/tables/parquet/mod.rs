//! `parquet`: tables in columns, behind the feature of that name. Its column arguments are those of `csv`.

#[cfg(feature = "parquet")]
mod rows;

use super::super::Context;
use super::super::args::Fallible;
use super::super::spec::Call;
use super::super::table::Table;

/// `parquet("file.parquet", x = ["a", "b"], y = label("c"))`
#[cfg(not(feature = "parquet"))]
pub fn load(call: &Call, _context: &Context) -> Fallible<Table> {
    let title = "this build of optc does not read parquet";
    let what = crate::diag::error("E0414", title).at(call.span, "needs the feature 'parquet'");
    Err(vec![what.help("build it with: cargo install --path . --features parquet")])
}

/// `parquet("file.parquet", x = ["a", "b"], y = label("c"))`
#[cfg(feature = "parquet")]
pub fn load(call: &Call, context: &Context) -> Fallible<Table> {
    use super::super::args::Args;
    use super::column::ColumnSpec;
    use super::{Missing, Part, infer};
    use rows::Rows;

    const OPTIONS: &[&str] = &["file", "missing", "test", "stream"];
    let args = Args::open(call, OPTIONS)?;
    let column = |(name, arg)| ColumnSpec::new(name, arg, OPTIONS);
    let mut specs = args.others(OPTIONS).map(column).collect::<Fallible<Vec<_>>>()?;
    let missing = Missing::new(&args)?;
    let train = Part { path: context.resolve(args.required_str("file")?), span: args.span("file") };
    let test = args.str("test")?.map(|test| Part { path: context.resolve(test), span: args.span("test") });
    let mut bytes = Rows::open(&train)?.bytes();
    if let Some(test) = &test {
        bytes += Rows::open(test)?.bytes();
    }
    if specs.is_empty() {
        specs = infer::look(Rows::open(&train)?)?.columns(true, train.span);
    }
    super::load(specs, (&train, test.as_ref()), missing, super::streams(&args, bytes)?, Rows::open)
}
