//! What a plugin answered, in one shape for all verbs, so that a case can speak of any of them.

use std::fmt;

use serde::Deserialize;
use serde_json::{Map, Value, json};
use velum_model::{
    fault::{self, Fault},
    port::{
        Outcome,
        target::{Attr, AttrValue},
    },
};

/// The kind of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Is {
    /// A change is so.
    Done,
    /// A change goes on.
    Working,
    /// A change went on for longer than the suite's patience.
    Unfinished,
    /// A refusal or failure, also the server's own of what was answered.
    Fault,
    /// Something was found.
    Some,
    /// Nothing was found.
    None,
    /// Any other answer.
    Answer,
    /// A policy took what it was given.
    Taken,
    /// A policy did not take it.
    NotTaken,
}

impl fmt::Display for Is {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Done => "done",
            Self::Working => "working",
            Self::Unfinished => "unfinished",
            Self::Fault => "fault",
            Self::Some => "some",
            Self::None => "none",
            Self::Answer => "answer",
            Self::Taken => "taken",
            Self::NotTaken => "not-taken",
        })
    }
}

/// An answer with what is in it, as JSON whose ids are the labels of the case.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// Its kind.
    pub is: Is,
    /// Its content.
    pub body: Value,
}

impl Answer {
    /// An answer of a kind.
    #[must_use]
    pub const fn new(is: Is, body: Value) -> Self {
        Self { is, body }
    }

    /// Of a change.
    #[must_use]
    pub fn of_change(answer: Result<Outcome, Fault>) -> Self {
        match answer {
            Ok(Outcome::Done(attrs)) => Self::new(Is::Done, json!({"attrs": attributes(&attrs)})),
            Ok(Outcome::Working(job)) => {
                Self::new(Is::Working, serde_json::to_value(job).unwrap_or_default())
            }
            Err(fault) => Self::of_fault(&fault),
        }
    }

    /// Of a fault.
    #[must_use]
    pub fn of_fault(fault: &Fault) -> Self {
        let name = match fault::name_of(fault.code) {
            "other" => fault.code.to_string(),
            name => name.to_owned(),
        };
        let body = json!({
            "code": name, "unchanged": fault.unchanged, "retry_after_ms": fault.retry_after_ms, "detail": fault.detail,
        });
        Self::new(Is::Fault, body)
    }

    /// Of a question.
    #[must_use]
    pub fn of_question(answer: Result<Value, Fault>) -> Self {
        match answer {
            Ok(body) => Self::new(Is::Answer, body),
            Err(fault) => Self::of_fault(&fault),
        }
    }

    /// Of a question that may find nothing.
    #[must_use]
    pub fn of_search(answer: Result<Option<Value>, Fault>) -> Self {
        match answer {
            Ok(Some(body)) => Self::new(Is::Some, body),
            Ok(None) => Self::new(Is::None, Value::Null),
            Err(fault) => Self::of_fault(&fault),
        }
    }

    /// On one line, cut to what people read.
    #[must_use]
    pub fn in_words(&self) -> String {
        /// Characters of a body: a screen's line and a half.
        const SHOWN: usize = 240;
        let field = |name: &str| self.body.get(name).and_then(Value::as_str).unwrap_or_default();
        match self.is {
            Is::Fault => {
                let unchanged = self.body.get("unchanged").and_then(Value::as_bool) == Some(true);
                let sure = if unchanged { ", unchanged" } else { "" };
                format!("fault {}{sure}: {}", field("code"), field("detail"))
            }
            _ if self.body.is_null() => self.is.to_string(),
            _ => {
                let text = self.body.to_string();
                let cut: String = text.chars().take(SHOWN).collect();
                let more = if cut.len() < text.len() { "..." } else { "" };
                format!("{} {cut}{more}", self.is)
            }
        }
    }
}

/// Attributes by their codes.
fn attributes(attrs: &[Attr]) -> Value {
    let values = attrs.iter().map(|attr| {
        let value = match &attr.value {
            AttrValue::Number(number) => json!(number),
            AttrValue::Text(text) => json!(text),
            AttrValue::Bytes(bytes) => json!(bytes),
            AttrValue::Flag(flag) => json!(flag),
        };
        (attr.code.to_string(), value)
    });
    Value::Object(values.collect::<Map<_, _>>())
}
