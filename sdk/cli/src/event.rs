//! `velum event`: what happened, by whom.

use clap::{Args, Subcommand};
use futures::StreamExt as _;
use serde_json::Value;
use velum_client::{Events, Filter, Resource as _};
use velum_wire::EventView;

use crate::{
    failure::Failure,
    names::Names,
    session::{Most, Output, Session, write_on},
    table::{self, Column, Kind, column, text},
};

const COLUMNS: &[Column] = &[
    column("AT", "at", Kind::Time),
    text("EVENT", "kind"),
    text("OF", "collection"),
    text("RESOURCE", "resource_id"),
    text("BY", "caller"),
    text("OPERATION", "operation_id"),
];

/// What happened, by whom.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Lists events, oldest first.
    List(List),
}

/// Which events.
#[derive(Args, Debug)]
pub struct List {
    #[command(flatten)]
    pub most: Most,
    /// Shows events as they happen, until Ctrl-C: from now on, or from --after on.
    #[arg(long, short, conflicts_with = "limit")]
    pub follow: bool,
    /// Only what came after the event of this id.
    #[arg(long, value_name = "EVENT-ID")]
    pub after: Option<String>,
    /// Only those of this kind, like instance.created.
    #[arg(long)]
    pub kind: Option<String>,
    /// Only those about the resource of this id.
    #[arg(long, value_name = "ID")]
    pub resource: Option<uuid::Uuid>,
    /// Only those that this operation caused.
    #[arg(long, value_name = "ID")]
    pub operation: Option<uuid::Uuid>,
}

impl List {
    fn filter(&self) -> Filter {
        Filter::new()
            .with_some("kind", self.kind.as_ref())
            .with_some("resource_id", self.resource)
            .with_some("operation_id", self.operation)
    }
}

/// Runs `velum event`.
pub async fn run(session: &Session, command: Command) -> Result<(), Failure> {
    let Command::List(list) = command;
    if list.follow {
        follow(session, list).await
    } else {
        once(session, &list).await
    }
}

async fn once(session: &Session, list: &List) -> Result<(), Failure> {
    let mut events = Vec::new();
    let mut cursor = list.after.clone();
    let most = list.most.limit as usize;
    while events.len() < most {
        let page = session
            .client
            .events()
            .list(&list.filter(), Some(PAGE), cursor.as_deref())
            .await?;
        let more = page.next_cursor.is_some() && !page.items.is_empty();
        cursor = page.next_cursor;
        events.extend(page.items);
        if !more {
            break;
        }
    }
    events.truncate(most);
    let headers: Vec<&str> = COLUMNS.iter().map(|c| c.header).collect();
    session.print(&events, || {
        table::list(&headers, events.iter().map(row).collect(), None)
    })
}

/// Events asked for at once.
const PAGE: u32 = 500;

async fn follow(session: &Session, list: List) -> Result<(), Failure> {
    let mut stream = session.client.events().follow(list.filter(), list.after);
    while let Some(event) = stream.next().await {
        let event = event?;
        let line = match session.output {
            // One event a line, so that the next tool can read it as it comes.
            Output::Json => serde_json::to_string(&event).map_err(|e| Failure::Local(e.into()))?,
            Output::Table => row(&event).join("  "),
        };
        if !write_on(&format!("{line}\n"))? {
            return Ok(());
        }
    }
    Err(Failure::Local(anyhow::anyhow!(
        "the stream of {} ended",
        Events::COLLECTION
    )))
}

fn row(event: &EventView) -> Vec<String> {
    let value = serde_json::to_value(event).unwrap_or(Value::Null);
    table::cells(&value, COLUMNS, &Names::default())
}
