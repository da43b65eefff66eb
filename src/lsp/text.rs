//! Places as an editor counts them (lines, and UTF-16 units in a line) and as the compiler does (bytes); files and their URIs.

use crate::source::{SourceFile, SourceMap, Span};
use lsp_types::{MarkupContent, MarkupKind, Position, Range, Uri};
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// The byte at a place; behind the end of a line, the line's end.
pub fn offset(file: &SourceFile, at: Position) -> usize {
    let Some(line) = file.line_range(at.line as usize) else { return file.text.len() };
    let text = file.text[line.clone()].trim_end_matches(['\n', '\r']);
    let mut units = 0;
    for (byte, c) in text.char_indices() {
        if units + c.len_utf16() > at.character as usize {
            return line.start + byte;
        }
        units += c.len_utf16();
    }
    line.start + text.len()
}

pub fn position(file: &SourceFile, byte: usize) -> Position {
    let mut byte = byte.min(file.text.len());
    while !file.text.is_char_boundary(byte) {
        byte -= 1;
    }
    let line = file.line_of(byte);
    let start = file.line_range(line).map_or(0, |line| line.start);
    let units: usize = file.text[start..byte].chars().map(char::len_utf16).sum();
    Position::new(line as u32, units as u32)
}

pub fn range(sources: &SourceMap, span: Span) -> Range {
    let file = sources.file(span.file);
    Range::new(position(file, span.start as usize), position(file, span.end as usize))
}

pub fn whole(file: &SourceFile) -> Range {
    Range::new(Position::new(0, 0), position(file, file.text.len()))
}

pub fn markdown(value: String) -> MarkupContent {
    MarkupContent { kind: MarkupKind::Markdown, value }
}

/// The path of a `file:` URI.
pub fn path(uri: &Uri) -> Option<PathBuf> {
    let rest = uri.as_str().strip_prefix("file://")?;
    let path = &rest[rest.find('/')?..];
    let mut bytes = vec![];
    let mut raw = path.bytes();
    while let Some(b) = raw.next() {
        if b != b'%' {
            bytes.push(b);
            continue;
        }
        let digits = [raw.next()?, raw.next()?];
        bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
    }
    let path = String::from_utf8(bytes).ok()?;
    // Windows: `/c:/folder`.
    let drive = path.as_bytes().get(2) == Some(&b':');
    Some(PathBuf::from(if drive { &path[1..] } else { &path }))
}

pub fn uri(path: &Path) -> Option<Uri> {
    let text = path.to_str()?.replace('\\', "/");
    let mut out = String::from("file://");
    if !text.starts_with('/') {
        out.push('/');
    }
    for b in text.bytes() {
        match b {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' => out.push(b as char),
            _ => out += &format!("%{b:02X}"),
        }
    }
    Uri::from_str(&out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_those_of_utf_16() {
        let file = SourceFile::new("a".into(), "θ = 𝑥\r\nβ₁ = 2\n".into());
        for (byte, line, character) in [(0, 0, 0), (2, 0, 1), (5, 0, 4), (9, 0, 6), (11, 1, 0), (16, 1, 2), (21, 2, 0)]
        {
            let at = Position::new(line, character);
            assert_eq!(position(&file, byte), at, "{byte}");
            assert_eq!(offset(&file, at), byte, "{at:?}");
        }
        assert_eq!(offset(&file, Position::new(0, 5)), 5, "inside a pair of units");
        assert_eq!(offset(&file, Position::new(0, 99)), 9);
        assert_eq!(offset(&file, Position::new(99, 0)), file.text.len());
    }

    #[test]
    fn paths_survive_uris() {
        let original = Path::new("/tmp/a folder/β#1.opt");
        let made = uri(original).expect("a URI");
        assert_eq!(made.as_str(), "file:///tmp/a%20folder/%CE%B2%231.opt");
        assert_eq!(path(&made).as_deref(), Some(original));
        let windows = Uri::from_str("file:///c%3A/x.opt").expect("a URI");
        assert_eq!(path(&windows).as_deref(), Some(Path::new("c:/x.opt")));
    }
}
