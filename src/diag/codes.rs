//! The registry of diagnostic codes: what `optc explain` knows, and the only codes that may be used.
//!
//! To add a code: one line in [`CODES`], and a page `explain/E….md` with the rule, a wrong and a right example.
//!
//! E01xx syntax, E02xx names, types and shapes, E03xx training and experiments, E04xx data, E05xx files of weights,
//! E06xx run time, E09xx internal; W07xx likely mistakes.

/// A code with its rule.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    pub code: &'static str,
    pub title: &'static str,
    /// A page of Markdown: the rule, a wrong and a right example.
    pub explanation: &'static str,
}

macro_rules! codes {
    ($($code:literal $title:literal,)*) => {
        &[$(Entry { code: $code, title: $title, explanation: include_str!(concat!("explain/", $code, ".md")) },)*]
    };
}

/// Sorted by code.
pub const CODES: &[Entry] = codes! {
    "E0101" "the text is not a program",
    "E0102" "a bracket does not match",
    "E0103" "a text is not written properly",
    "E0104" "a character or number has no meaning",
    "E0105" "the program is nested too deeply",
    "E0201" "a name is unknown",
    "E0202" "the number of arguments is wrong",
    "E0203" "shapes disagree",
    "E0204" "types disagree",
    "E0205" "there is no argument of this name",
    "E0206" "a name is defined twice",
    "E0207" "this cannot be called",
    "E0208" "an integer stands where a float is due",
    "E0209" "a dimension cannot be solved",
    "E0210" "[N, 1] against [N] broadcasts silently",
    "E0211" "a constant is needed",
    "E0212" "a statement cannot stand here",
    "E0213" "an axis is out of range",
    "E0214" "a definition uses itself",
    "E0215" "there is no derivative",
    "E0216" "a module is unknown",
    "E0217" "a parameter or state is misused",
    "E0218" "a rule changes nothing",
    "E0219" "a scan cannot do this",
    "E0221" "a window does not fit",
    "E0301" "a training is incomplete",
    "E0302" "the data has no such column",
    "E0303" "a batch is larger than the data",
    "E0304" "a setting is unknown",
    "E0305" "--set names no hyper-parameter",
    "E0306" "nothing is trained, or something twice",
    "E0307" "an objective names no reported value",
    "E0308" "a comparison or sweep is wrong",
    "E0309" "a sample cannot be drawn",
    "E0401" "a file cannot be read",
    "E0402" "a file has another format than its source reads",
    "E0403" "a file is cut short",
    "E0404" "a column does not exist",
    "E0405" "a value is missing or is not a number",
    "E0406" "a row has another length than the others",
    "E0407" "a data source, step or option is unknown",
    "E0408" "a label or an integer is out of range",
    "E0409" "there is no data",
    "E0410" "an index is larger than what it indexes",
    "E0411" "a file was lost while it was read",
    "E0412" "there is no room for a temporary file",
    "E0413" "a file cannot be read row by row",
    "E0414" "this build does not read parquet",
    "E0501" "a checkpoint belongs to another model",
    "E0502" "a file of weights cannot be read",
    "E0503" "the run's folder cannot be written",
    "E0504" "the data is not that of the checkpoint",
    "E0505" "there is no run in a folder",
    "E0601" "the loss diverged",
    "E0602" "the time is up",
    "E0603" "a value is not finite",
    "E0604" "an expectation of a test does not hold",
    "E0605" "the run was interrupted",
    "E0606" "an index is out of range",
    "E0607" "a matrix has no decomposition",
    "E0901" "an internal error",
    "W0701" "a state is of no use",
    "W0702" "a hyper-parameter changes nothing",
    "W0703" "a constant is zero in 32 bits",
    "W0704" "a division can meet zero",
    "W0705" "a rule ignores the gradient",
    "W0706" "a value is never used",
    "W0707" "a parameter is of no use",
    "W0708" "a branch is never taken",
    "W0709" "a value of one role where another is due",
    "W0710" "nothing trains a parameter",
};

/// The entry of a code, in any case (`e0203`).
pub fn find(code: &str) -> Option<&'static Entry> {
    CODES.iter().find(|entry| entry.code.eq_ignore_ascii_case(code))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::SourceMap;

    #[test]
    fn codes_are_sorted_and_found_in_any_case() {
        assert!(CODES.windows(2).all(|pair| pair[0].code < pair[1].code));
        assert_eq!(find("e0203").map(|e| e.code), Some("E0203"));
        assert!(find("E9999").is_none());
    }

    #[test]
    fn pages_have_a_title_and_a_body() {
        for entry in CODES {
            let heading = format!("# {}: {}\n", entry.code, entry.title);
            assert!(entry.explanation.starts_with(&heading), "{} does not begin with {heading:?}", entry.code);
            assert!(entry.explanation.lines().count() > 4, "{} says too little", entry.code);
        }
    }

    /// Right examples parse. Wrong examples of syntax codes give that code; those of other codes parse.
    #[test]
    fn examples_of_pages_are_what_they_say() {
        for entry in CODES {
            for (kind, program) in examples(entry.explanation) {
                let mut sources = SourceMap::new();
                let file = sources.add(entry.code, program);
                let codes: Vec<_> = crate::syntax::parse_file(&sources, file).1.iter().map(|d| d.code).collect();
                let expected: Vec<&str> = match kind {
                    "opt,wrong" if entry.code.starts_with("E01") => vec![entry.code],
                    _ => vec![],
                };
                assert_eq!(codes, expected, "{}: {program}", entry.code);
            }
        }
    }

    /// Fenced blocks of `.opt` text with their info strings.
    fn examples(page: &str) -> Vec<(&str, &str)> {
        let blocks = page.split("```").skip(1).step_by(2);
        blocks.filter_map(|block| block.split_once('\n')).filter(|(kind, _)| kind.starts_with("opt")).collect()
    }
}
