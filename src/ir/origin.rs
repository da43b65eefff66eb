//! Which part of a step a node belongs to, and through which calls of the program it was made: what messages about values
//! at run time tell beside the line.
//!
//! A chain from the inside to the outside. New nodes take it from [`Graph::origin`](super::Graph::origin); copies of nodes
//! keep theirs, so that it survives differentiation and everything else that moves nodes between graphs.

use crate::source::Span;
use std::sync::Arc;

/// Where a node comes from. It is no part of what the node is: all origins are equal.
#[derive(Clone, Debug, Default)]
pub struct Origin(Option<Arc<Link>>);

#[derive(Debug)]
struct Link {
    what: What,
    within: Origin,
}

#[derive(Debug)]
enum What {
    Call(Call),
    Part(Part),
    /// A rule's turn for this parameter.
    Tensor(String),
    /// The nodes compute the derivative of this operation, whose origin the outer links are.
    Derivative(&'static str),
}

/// The activation of a definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// `layer Dense`
    pub title: String,
    /// Of a layer, model or rule: `net.blocks.2.attention`.
    pub path: Option<String>,
    pub at: Span,
}

/// The part of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Forward,
    Backward,
    Update,
    Report,
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Part::Forward => "the forward pass",
            Part::Backward => "the backward pass",
            Part::Update => "the update of the parameters",
            Part::Report => "a reported value",
        })
    }
}

impl PartialEq for Origin {
    fn eq(&self, _: &Origin) -> bool {
        true
    }
}

impl Origin {
    /// Inside a call.
    pub fn call(&self, title: &str, path: Option<String>, at: Span) -> Origin {
        self.inside(What::Call(Call { title: title.to_string(), path, at }))
    }

    pub fn part_of(&self, part: Part) -> Origin {
        self.inside(What::Part(part))
    }

    /// Of what a rule does with a parameter.
    pub fn tensor_of(&self, path: &str) -> Origin {
        self.inside(What::Tensor(path.to_string()))
    }

    /// Of what computes the derivative of an operation with this origin.
    pub fn derivative(&self, op: &'static str) -> Origin {
        self.inside(What::Derivative(op))
    }

    fn inside(&self, what: What) -> Origin {
        Origin(Some(Arc::new(Link { what, within: self.clone() })))
    }

    fn links(&self) -> impl Iterator<Item = &What> {
        std::iter::successors(self.0.as_ref(), |link| link.within.0.as_ref()).map(|link| &link.what)
    }

    pub fn part(&self) -> Part {
        let part = self.links().find_map(|what| match what {
            What::Part(part) => Some(*part),
            What::Derivative(_) => Some(Part::Backward),
            What::Call(_) | What::Tensor(_) => None,
        });
        part.unwrap_or(Part::Forward)
    }

    /// The operation that this is the derivative of.
    pub fn derivative_of(&self) -> Option<&'static str> {
        self.links().find_map(|what| match what {
            What::Derivative(op) => Some(*op),
            _ => None,
        })
    }

    /// The parameter that a rule updates.
    pub fn tensor(&self) -> Option<&str> {
        self.links().find_map(|what| match what {
            What::Tensor(path) => Some(path.as_str()),
            _ => None,
        })
    }

    /// The calls, the innermost first.
    pub fn calls(&self) -> impl Iterator<Item = &Call> {
        self.links().filter_map(|what| match what {
            What::Call(call) => Some(call),
            _ => None,
        })
    }

    /// The path of the innermost layer, model or rule.
    pub fn path(&self) -> Option<&str> {
        self.calls().find_map(|call| call.path.as_deref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_tells_part_calls_and_path() {
        let model = Origin::default().call("model Net", Some("net".into()), Span::default());
        let layer = model.call("layer Dense", Some("net.fc".into()), Span::default());
        let inner = layer.call("fn relu", None, Span::default());
        assert_eq!((inner.part(), inner.path(), inner.derivative_of()), (Part::Forward, Some("net.fc"), None));
        let back = inner.derivative("log");
        assert_eq!((back.part(), back.path(), back.derivative_of()), (Part::Backward, Some("net.fc"), Some("log")));
        assert_eq!(back.calls().count(), 3);
        assert_eq!(Origin::default().part_of(Part::Update).call("f", None, Span::default()).part(), Part::Update);
    }
}
