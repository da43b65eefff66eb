//! Documents, requests and the time to check.

use super::analysis::Analysis;
use super::{actions, completion, diagnostics, hover, inlay, navigate, text};
use crate::source::SourceMap;
use crate::syntax::format;
use lsp_server::{Connection, ErrorCode, Message, Notification, Request, RequestId, Response};
use lsp_types::notification::{
    DidChangeTextDocument, DidCloseTextDocument, DidOpenTextDocument, DidSaveTextDocument, Notification as _,
    PublishDiagnostics,
};
use lsp_types::request::{
    CodeActionRequest, Completion, DocumentSymbolRequest, Formatting, GotoDefinition, HoverRequest, InlayHintRequest,
    PrepareRenameRequest, References, Rename, Request as _,
};
use lsp_types::{self as lsp, Uri};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

/// Diagnostics wait for so long without a change.
const QUIET: Duration = Duration::from_millis(120);

/// What went wrong between the editor and us.
type Trouble = Box<dyn std::error::Error + Send + Sync>;

/// Talks to the editor on a connection until it says that all is over.
pub fn serve(connection: &Connection) -> Result<(), Trouble> {
    let (id, _) = connection.initialize_start()?;
    let answer = json!({
        "capabilities": capabilities(),
        "serverInfo": { "name": "optc", "version": env!("CARGO_PKG_VERSION") },
    });
    connection.initialize_finish(id, answer)?;
    let mut server = Server { connection, documents: vec![] };
    server.run()
}

fn capabilities() -> lsp::ServerCapabilities {
    lsp::ServerCapabilities {
        position_encoding: Some(lsp::PositionEncodingKind::UTF16),
        text_document_sync: Some(lsp::TextDocumentSyncCapability::Options(lsp::TextDocumentSyncOptions {
            open_close: Some(true),
            change: Some(lsp::TextDocumentSyncKind::INCREMENTAL),
            save: Some(lsp::TextDocumentSyncSaveOptions::Supported(true)),
            ..lsp::TextDocumentSyncOptions::default()
        })),
        hover_provider: Some(lsp::HoverProviderCapability::Simple(true)),
        completion_provider: Some(lsp::CompletionOptions {
            trigger_characters: Some(vec![".".into(), "(".into()]),
            ..lsp::CompletionOptions::default()
        }),
        definition_provider: Some(lsp::OneOf::Left(true)),
        references_provider: Some(lsp::OneOf::Left(true)),
        document_symbol_provider: Some(lsp::OneOf::Left(true)),
        document_formatting_provider: Some(lsp::OneOf::Left(true)),
        inlay_hint_provider: Some(lsp::OneOf::Left(true)),
        code_action_provider: Some(lsp::CodeActionProviderCapability::Simple(true)),
        rename_provider: Some(lsp::OneOf::Right(lsp::RenameOptions {
            prepare_provider: Some(true),
            work_done_progress_options: lsp::WorkDoneProgressOptions::default(),
        })),
        ..lsp::ServerCapabilities::default()
    }
}

struct Document {
    uri: Uri,
    version: i32,
    text: String,
    /// Of the text as it is now, once somebody asked.
    analysis: Option<Analysis>,
    /// When its diagnostics are to be sent.
    due: Option<Instant>,
}

struct Server<'a> {
    connection: &'a Connection,
    /// A handful, in the order of opening.
    documents: Vec<Document>,
}

/// An answer, or why there is none.
type Answer = Result<Value, (ErrorCode, String)>;

impl Server<'_> {
    fn run(&mut self) -> Result<(), Trouble> {
        loop {
            let due = self.documents.iter().filter_map(|d| d.due).min();
            let wait = due.map(|due| due.saturating_duration_since(Instant::now()));
            let message = match wait {
                Some(wait) => match self.connection.receiver.recv_timeout(wait) {
                    Ok(message) => message,
                    Err(problem) if problem.is_timeout() => {
                        self.publish_due()?;
                        continue;
                    }
                    Err(_) => return Ok(()),
                },
                None => match self.connection.receiver.recv() {
                    Ok(message) => message,
                    Err(_) => return Ok(()),
                },
            };
            match message {
                Message::Request(request) => {
                    if self.connection.handle_shutdown(&request)? {
                        return Ok(());
                    }
                    let response = self.answer(request);
                    self.connection.sender.send(Message::Response(response))?;
                }
                Message::Notification(notification) => self.notified(notification)?,
                Message::Response(_) => {}
            }
        }
    }

    fn answer(&mut self, request: Request) -> Response {
        let Request { id, method, params } = request;
        // Whatever happens, the editor gets an answer and the server goes on.
        let answer = catch_unwind(AssertUnwindSafe(|| self.result(&method, params)));
        match answer {
            Ok(Ok(result)) => Response::new_ok(id, result),
            Ok(Err((code, message))) => Response::new_err(id, code as i32, message),
            Err(_) => internal(id, &method),
        }
    }

    fn result(&mut self, method: &str, params: Value) -> Answer {
        match method {
            HoverRequest::METHOD => {
                let p: lsp::HoverParams = read(params)?;
                self.at(&p.text_document_position_params, hover::hover)
            }
            GotoDefinition::METHOD => {
                let p: lsp::GotoDefinitionParams = read(params)?;
                self.at(&p.text_document_position_params, navigate::definition)
            }
            References::METHOD => {
                let p: lsp::ReferenceParams = read(params)?;
                self.at(&p.text_document_position, navigate::references)
            }
            Completion::METHOD => {
                let p: lsp::CompletionParams = read(params)?;
                self.at(&p.text_document_position, completion::complete)
            }
            PrepareRenameRequest::METHOD => {
                let p: lsp::TextDocumentPositionParams = read(params)?;
                let found = self.analysed(&p.text_document.uri)?;
                refused(navigate::prepare_rename(found, text::offset(found.text(), p.position)))
            }
            Rename::METHOD => {
                let p: lsp::RenameParams = read(params)?;
                let at = &p.text_document_position;
                let found = self.analysed(&at.text_document.uri)?;
                refused(navigate::rename(found, text::offset(found.text(), at.position), &p.new_name))
            }
            DocumentSymbolRequest::METHOD => {
                let p: lsp::DocumentSymbolParams = read(params)?;
                Ok(json!(navigate::symbols(self.analysed(&p.text_document.uri)?)))
            }
            InlayHintRequest::METHOD => {
                let p: lsp::InlayHintParams = read(params)?;
                Ok(json!(inlay::hints(self.analysed(&p.text_document.uri)?, p.range)))
            }
            CodeActionRequest::METHOD => {
                let p: lsp::CodeActionParams = read(params)?;
                Ok(json!(actions::actions(self.analysed(&p.text_document.uri)?, p.range)))
            }
            Formatting::METHOD => {
                let p: lsp::DocumentFormattingParams = read(params)?;
                Ok(json!(formatted(&self.document(&p.text_document.uri)?.text)))
            }
            unknown => Err((ErrorCode::MethodNotFound, format!("'{unknown}' is not known here"))),
        }
    }

    /// Answers a request about a place.
    fn at<T: serde::Serialize>(
        &mut self,
        place: &lsp::TextDocumentPositionParams,
        answer: impl Fn(&Analysis, usize) -> T,
    ) -> Answer {
        let found = self.analysed(&place.text_document.uri)?;
        Ok(json!(answer(found, text::offset(found.text(), place.position))))
    }

    fn document(&mut self, uri: &Uri) -> Result<&mut Document, (ErrorCode, String)> {
        let unknown = || (ErrorCode::InvalidParams, format!("'{}' is not open", uri.as_str()));
        self.documents.iter_mut().find(|d| d.uri == *uri).ok_or_else(unknown)
    }

    fn analysed(&mut self, uri: &Uri) -> Result<&Analysis, (ErrorCode, String)> {
        let document = self.document(uri)?;
        let Document { uri, text, analysis, .. } = document;
        Ok(analysis.get_or_insert_with(|| Analysis::new(uri, text)))
    }

    fn notified(&mut self, notification: Notification) -> Result<(), Trouble> {
        let Notification { method, params } = notification;
        match method.as_str() {
            DidOpenTextDocument::METHOD => {
                let Ok(p) = read::<lsp::DidOpenTextDocumentParams>(params) else { return Ok(()) };
                let lsp::TextDocumentItem { uri, version, text, .. } = p.text_document;
                self.documents.retain(|d| d.uri != uri);
                self.documents.push(Document { uri, version, text, analysis: None, due: Some(Instant::now()) });
            }
            DidChangeTextDocument::METHOD => {
                let Ok(p) = read::<lsp::DidChangeTextDocumentParams>(params) else { return Ok(()) };
                let Ok(document) = self.document(&p.text_document.uri) else { return Ok(()) };
                p.content_changes.into_iter().for_each(|change| document.change(change));
                document.version = p.text_document.version;
                document.analysis = None;
                document.due = Some(Instant::now() + QUIET);
            }
            DidSaveTextDocument::METHOD => {
                // Files that others use may have changed.
                for document in &mut self.documents {
                    document.analysis = None;
                    document.due = Some(Instant::now());
                }
            }
            DidCloseTextDocument::METHOD => {
                let Ok(p) = read::<lsp::DidCloseTextDocumentParams>(params) else { return Ok(()) };
                self.documents.retain(|d| d.uri != p.text_document.uri);
                self.publish(p.text_document.uri, vec![], None)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn publish_due(&mut self) -> Result<(), Trouble> {
        let now = Instant::now();
        let due: Vec<Uri> =
            self.documents.iter().filter(|d| d.due.is_some_and(|due| due <= now)).map(|d| d.uri.clone()).collect();
        for uri in due {
            let found =
                catch_unwind(AssertUnwindSafe(|| self.analysed(&uri).map(diagnostics::all).unwrap_or_default()));
            let Ok(document) = self.document(&uri) else { continue };
            document.due = None;
            let version = document.version;
            if let Ok(found) = found {
                self.publish(uri, found, Some(version))?;
            }
        }
        Ok(())
    }

    fn publish(&self, uri: Uri, found: Vec<lsp::Diagnostic>, version: Option<i32>) -> Result<(), Trouble> {
        let params = lsp::PublishDiagnosticsParams::new(uri, found, version);
        let message = Notification::new(PublishDiagnostics::METHOD.to_string(), params);
        Ok(self.connection.sender.send(Message::Notification(message))?)
    }
}

impl Document {
    /// A part of the text, or all of it.
    fn change(&mut self, change: lsp::TextDocumentContentChangeEvent) {
        let Some(range) = change.range else {
            self.text = change.text;
            return;
        };
        let file = crate::source::SourceFile::new(String::new(), std::mem::take(&mut self.text));
        let (start, end) = (text::offset(&file, range.start), text::offset(&file, range.end));
        let mut new = file.text;
        new.replace_range(start.min(end)..end.max(start), &change.text);
        self.text = new;
    }
}

/// One edit for the whole text; none if it is in the style already, or has mistakes.
fn formatted(old: &str) -> Option<Vec<lsp::TextEdit>> {
    let mut sources = SourceMap::new();
    let file = sources.add("text", old);
    let made = format::format(&sources, file).ok()?;
    if made == old {
        return Some(vec![]);
    }
    Some(vec![lsp::TextEdit::new(text::whole(sources.file(file)), made)])
}

fn read<T: DeserializeOwned>(params: Value) -> Result<T, (ErrorCode, String)> {
    serde_json::from_value(params).map_err(|e| (ErrorCode::InvalidParams, e.to_string()))
}

fn refused<T: serde::Serialize>(result: Result<T, String>) -> Answer {
    result.map(|value| json!(value)).map_err(|why| (ErrorCode::RequestFailed, why))
}

fn internal(id: RequestId, method: &str) -> Response {
    let message = format!("internal error while answering '{method}'; please report this with the text");
    Response::new_err(id, ErrorCode::InternalError as i32, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use lsp_types::Position;

    #[test]
    fn changes_are_applied_where_the_editor_says() {
        let uri: Uri = "untitled:a".parse().expect("a URI");
        let mut document = Document { uri, version: 1, text: "let 𝑥 = β\n".into(), analysis: None, due: None };
        let change = |from: u32, to: u32, text: &str| lsp::TextDocumentContentChangeEvent {
            range: Some(lsp::Range::new(Position::new(0, from), Position::new(0, to))),
            range_length: None,
            text: text.into(),
        };
        document.change(change(4, 6, "y"));
        assert_eq!(document.text, "let y = β\n");
        document.change(change(8, 9, ""));
        document.change(change(90, 3, "!"));
        assert_eq!(document.text, "let!\n");
    }
}
