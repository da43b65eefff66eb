//! The syntax tree as indented text (`optc ir --stage ast`).
