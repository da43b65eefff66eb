//! `parquet`: tables in columns, behind the feature of that name.

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
