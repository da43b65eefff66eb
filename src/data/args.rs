//! Reading the arguments of a source or step, with errors at the argument's span.

use super::spec::{Arg, Call, Value};
use super::unknown;
use crate::diag::{Diagnostic, error};
use crate::source::Span;

pub type Fallible<T> = Result<T, Vec<Diagnostic>>;

/// Arguments of one call, matched with parameter names.
pub struct Args<'a> {
    call: &'a Call,
    named: Vec<(&'a str, &'a Arg)>,
}

impl<'a> Args<'a> {
    /// Arguments without a name take the parameters in order; any other name is an error.
    pub fn new(call: &'a Call, params: &[&'a str]) -> Fallible<Args<'a>> {
        let args = Args::open(call, params)?;
        let strangers = args.named.iter().filter(|(name, _)| !params.contains(name));
        let errors: Vec<_> = strangers
            .map(|(name, arg)| {
                let at = arg.named_at.unwrap_or(arg.span);
                unknown("argument", name, params, at).at(arg.span, format!("'{}' has no such argument", call.name))
            })
            .collect();
        if errors.is_empty() { Ok(args) } else { Err(errors) }
    }

    /// As [`Args::new`], but other names are allowed: they are columns.
    pub fn open(call: &'a Call, params: &[&'a str]) -> Fallible<Args<'a>> {
        let mut named: Vec<(&str, &Arg)> = vec![];
        let mut errors = vec![];
        let mut next = 0;
        for arg in &call.args {
            let name = match &arg.name {
                Some(name) => name.as_str(),
                None if next < params.len() => {
                    next += 1;
                    params[next - 1]
                }
                None => {
                    errors.push(bad(arg, format!("too many arguments for '{}'", call.name), "not expected"));
                    continue;
                }
            };
            if named.iter().any(|(other, _)| *other == name) {
                errors.push(bad(arg, format!("argument '{name}' is given twice"), "the second time"));
            }
            named.push((name, arg));
        }
        if errors.is_empty() { Ok(Args { call, named }) } else { Err(errors) }
    }

    /// Only named arguments, of any name: `what` says what a name is.
    pub fn named_only(call: &'a Call, what: &str) -> Fallible<Args<'a>> {
        if let Some(arg) = call.args.iter().find(|arg| arg.name.is_none()) {
            let help = format!("write {}(name = …)", call.name);
            let title = format!("arguments of '{}' need a name: that of the {what}", call.name);
            return Err(vec![bad(arg, title, "has no name").help(help)]);
        }
        Args::open(call, &[])
    }

    pub fn call_span(&self) -> Span {
        self.call.span
    }

    pub fn get(&self, name: &str) -> Option<&'a Arg> {
        self.named.iter().find(|(n, _)| *n == name).map(|(_, arg)| *arg)
    }

    /// Arguments other than the given parameters, in the order written.
    pub fn others(&self, params: &'a [&'a str]) -> impl Iterator<Item = (&'a str, &'a Arg)> {
        self.named.iter().copied().filter(move |(name, _)| !params.contains(name))
    }

    /// The span of an argument, or of the whole call when it is left to its default.
    pub fn span(&self, name: &str) -> Span {
        self.get(name).map_or(self.call.span, |arg| arg.span)
    }

    /// A whole number within bounds.
    pub fn int(&self, name: &str, default: i64, min: i64, max: i64) -> Fallible<i64> {
        let Some(arg) = self.get(name) else { return Ok(default) };
        let value = match arg.value {
            Value::Int(v) => v,
            // 1e4 is a whole number too.
            Value::Float(v) if v.fract() == 0.0 && v.abs() < 9e15 => v as i64,
            _ => return Err(wrong(arg, name, "a whole number")),
        };
        if (min..=max).contains(&value) {
            return Ok(value);
        }
        let range = if max == i64::MAX { format!("at least {min}") } else { format!("between {min} and {max}") };
        Err(vec![bad(arg, format!("'{name}' must be {range}"), format!("{value} is not"))])
    }

    pub fn count(&self, name: &str, default: usize, min: usize) -> Fallible<usize> {
        Ok(self.int(name, default as i64, min as i64, i64::MAX)? as usize)
    }

    /// A seed: any whole number.
    pub fn seed(&self, default: i64) -> Fallible<u64> {
        Ok(self.int("seed", default, i64::MIN, i64::MAX)? as u64)
    }

    /// A finite number within bounds.
    pub fn float(&self, name: &str, default: f64, min: f64, max: f64) -> Fallible<f64> {
        let Some(arg) = self.get(name) else { return Ok(default) };
        let value = number(&arg.value).ok_or_else(|| wrong(arg, name, "a number"))?;
        if value.is_finite() && value >= min && value <= max {
            return Ok(value);
        }
        let range = match (min.is_finite(), max.is_finite()) {
            (true, true) => format!("between {min} and {max}"),
            (true, false) => format!("at least {min}"),
            _ => "finite".into(),
        };
        Err(vec![bad(arg, format!("'{name}' must be {range}"), format!("{value} is not"))])
    }

    pub fn bool(&self, name: &str, default: bool) -> Fallible<bool> {
        match self.get(name) {
            None => Ok(default),
            Some(Arg { value: Value::Bool(v), .. }) => Ok(*v),
            Some(arg) => Err(wrong(arg, name, "true or false")),
        }
    }

    pub fn str(&self, name: &str) -> Fallible<Option<&'a str>> {
        match self.get(name) {
            None => Ok(None),
            Some(Arg { value: Value::Str(v), .. }) => Ok(Some(v)),
            Some(arg) => Err(wrong(arg, name, "a string")),
        }
    }

    /// A string that must be there.
    pub fn required_str(&self, name: &str) -> Fallible<&'a str> {
        self.str(name)?.ok_or_else(|| {
            vec![
                error("E0407", format!("'{}' needs the argument '{name}'", self.call.name))
                    .at(self.call.span, format!("'{name}' is missing")),
            ]
        })
    }

    /// A list of finite numbers; a single number counts as a list of one.
    pub fn floats(&self, name: &str, default: &[f64]) -> Fallible<Vec<f64>> {
        let Some(arg) = self.get(name) else { return Ok(default.to_vec()) };
        let values = match &arg.value {
            Value::List(items) => items.iter().map(number).collect(),
            one => number(one).map(|v| vec![v]),
        };
        values
            .filter(|v: &Vec<f64>| !v.is_empty() && v.iter().all(|v| v.is_finite()))
            .ok_or_else(|| wrong(arg, name, "a list of numbers"))
    }

    /// A list of strings, or of whole numbers written out.
    pub fn strings(&self, name: &str) -> Fallible<Option<Vec<String>>> {
        let Some(arg) = self.get(name) else { return Ok(None) };
        let Value::List(items) = &arg.value else { return Err(wrong(arg, name, "a list of strings")) };
        let texts = items.iter().map(|item| match item {
            Value::Str(v) => Some(v.clone()),
            Value::Int(v) => Some(v.to_string()),
            _ => None,
        });
        texts.collect::<Option<Vec<_>>>().map(Some).ok_or_else(|| wrong(arg, name, "a list of strings"))
    }
}

pub fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Int(v) => Some(*v as f64),
        Value::Float(v) => Some(*v),
        _ => None,
    }
}

/// What a value is, in the user's words.
pub fn describe(value: &Value) -> String {
    match value {
        Value::Int(v) => format!("the whole number {v}"),
        Value::Float(v) => format!("the number {v}"),
        Value::Bool(v) => v.to_string(),
        Value::Str(v) => format!("the string \"{v}\""),
        Value::Name(v) => format!("the name '{v}'"),
        Value::List(_) => "a list".into(),
        Value::Call(call) => format!("a call of '{}'", call.name),
    }
}

/// `E0407` at an argument.
pub fn bad(arg: &Arg, title: impl Into<String>, label: impl Into<String>) -> Diagnostic {
    error("E0407", title).at(arg.span, label)
}

/// `E0407`: an argument is of the wrong kind.
pub fn wrong(arg: &Arg, name: &str, expected: &str) -> Vec<Diagnostic> {
    vec![bad(arg, format!("'{name}' must be {expected}"), format!("this is {}", describe(&arg.value)))]
}
