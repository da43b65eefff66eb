//! Documents, requests and the time to check.

use super::analysis::Analysis;
use super::rename::{self, Others};
use super::workspace::{Refusal, Workspace, not_open};
use super::{actions, completion, diagnostics, hover, inlay, navigate, signature, text};
use crate::source::SourceMap;
use crate::syntax::format;
use lsp_server::{Connection, ErrorCode, Message, Notification, Request, RequestId, Response};
use lsp_types::notification::{
    DidChangeTextDocument, DidChangeWatchedFiles, DidCloseTextDocument, DidOpenTextDocument, DidSaveTextDocument,
    Notification as _, PublishDiagnostics,
};
use lsp_types::request::{
    CodeActionRequest, Completion, DocumentSymbolRequest, Formatting, GotoDefinition, HoverRequest, InlayHintRequest,
    PrepareRenameRequest, References, Rename, Request as _, SignatureHelpRequest,
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
    let (id, params) = connection.initialize_start()?;
    let answer = json!({
        "capabilities": capabilities(),
        "serverInfo": { "name": "optc", "version": env!("CARGO_PKG_VERSION") },
    });
    connection.initialize_finish(id, answer)?;
    let mut server = Server { connection, workspace: Workspace::new(&params) };
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
            trigger_characters: Some(vec![".".into(), "(".into(), ",".into()]),
            ..lsp::CompletionOptions::default()
        }),
        signature_help_provider: Some(lsp::SignatureHelpOptions {
            trigger_characters: Some(vec!["(".into(), ",".into()]),
            ..lsp::SignatureHelpOptions::default()
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

struct Server<'a> {
    connection: &'a Connection,
    workspace: Workspace,
}

/// An answer, or why there is none.
type Answer = Result<Value, Refusal>;

impl Server<'_> {
    fn run(&mut self) -> Result<(), Trouble> {
        loop {
            let due = self.workspace.next_due();
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
                let with_declaration = p.context.include_declaration;
                self.with_others(&p.text_document_position, |found, byte, others| {
                    json!(rename::references(found, byte, with_declaration, others))
                })
            }
            Completion::METHOD => {
                let p: lsp::CompletionParams = read(params)?;
                self.at(&p.text_document_position, completion::complete)
            }
            SignatureHelpRequest::METHOD => {
                let p: lsp::SignatureHelpParams = read(params)?;
                self.at(&p.text_document_position_params, signature::help)
            }
            PrepareRenameRequest::METHOD => {
                let p: lsp::TextDocumentPositionParams = read(params)?;
                let found = self.workspace.analysed(&p.text_document.uri)?;
                refused(rename::prepare(found, text::offset(found.text(), p.position)))
            }
            Rename::METHOD => {
                let p: lsp::RenameParams = read(params)?;
                let made = |found: &Analysis, byte, others: Others| rename::rename(found, byte, &p.new_name, others);
                refused(self.with_others(&p.text_document_position, made)?)
            }
            DocumentSymbolRequest::METHOD => {
                let p: lsp::DocumentSymbolParams = read(params)?;
                Ok(json!(navigate::symbols(self.workspace.analysed(&p.text_document.uri)?)))
            }
            InlayHintRequest::METHOD => {
                let p: lsp::InlayHintParams = read(params)?;
                Ok(json!(inlay::hints(self.workspace.analysed(&p.text_document.uri)?, p.range)))
            }
            CodeActionRequest::METHOD => {
                let p: lsp::CodeActionParams = read(params)?;
                Ok(json!(actions::actions(self.workspace.analysed(&p.text_document.uri)?, p.range)))
            }
            Formatting::METHOD => {
                let p: lsp::DocumentFormattingParams = read(params)?;
                Ok(json!(formatted(self.workspace.text(&p.text_document.uri)?)))
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
        let found = self.workspace.analysed(&place.text_document.uri)?;
        Ok(json!(answer(found, text::offset(found.text(), place.position))))
    }

    /// The same for a request that is also about the other files of the workspace.
    fn with_others<T>(
        &mut self,
        place: &lsp::TextDocumentPositionParams,
        answer: impl Fn(&Analysis, usize, Others) -> T,
    ) -> Result<T, Refusal> {
        let uri = &place.text_document.uri;
        self.workspace.analysed(uri)?;
        let workspace = &self.workspace;
        let found = workspace.known(uri).ok_or_else(|| not_open(uri))?;
        let others = |file: &Uri| workspace.mentioning(file, uri);
        Ok(answer(found, text::offset(found.text(), place.position), &others))
    }

    fn notified(&mut self, notification: Notification) -> Result<(), Trouble> {
        let Notification { method, params } = notification;
        match method.as_str() {
            DidOpenTextDocument::METHOD => {
                let Ok(p) = read::<lsp::DidOpenTextDocumentParams>(params) else { return Ok(()) };
                let lsp::TextDocumentItem { uri, version, text, .. } = p.text_document;
                self.workspace.open(uri, version, text);
            }
            DidChangeTextDocument::METHOD => {
                let Ok(p) = read::<lsp::DidChangeTextDocumentParams>(params) else { return Ok(()) };
                self.workspace.change(p, Instant::now() + QUIET);
            }
            // Files that others use may have changed.
            DidSaveTextDocument::METHOD | DidChangeWatchedFiles::METHOD => self.workspace.check_again(Instant::now()),
            DidCloseTextDocument::METHOD => {
                let Ok(p) = read::<lsp::DidCloseTextDocumentParams>(params) else { return Ok(()) };
                self.workspace.close(&p.text_document.uri);
                self.publish(p.text_document.uri, vec![], None)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn publish_due(&mut self) -> Result<(), Trouble> {
        let now = Instant::now();
        for uri in self.workspace.due(now) {
            let found = catch_unwind(AssertUnwindSafe(|| self.workspace.analysed(&uri).map(diagnostics::all)));
            let Some(version) = self.workspace.checked(&uri) else { continue };
            if let Ok(Ok(found)) = found {
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

fn read<T: DeserializeOwned>(params: Value) -> Result<T, Refusal> {
    serde_json::from_value(params).map_err(|e| (ErrorCode::InvalidParams, e.to_string()))
}

fn refused<T: serde::Serialize>(result: Result<T, String>) -> Answer {
    result.map(|value| json!(value)).map_err(|why| (ErrorCode::RequestFailed, why))
}

fn internal(id: RequestId, method: &str) -> Response {
    let message = format!("internal error while answering '{method}'; please report this with the text");
    Response::new_err(id, ErrorCode::InternalError as i32, message)
}
