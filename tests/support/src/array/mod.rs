//! A small storage array: a vendor's box as a provider meets it. Its units are real iSCSI (`tgtd`), its REST API is its own
//! and in none of Velum's words, and it knows nothing of fences or effects.
//!
//! [`ArrayProcess`] runs the program `velum-array`. What it speaks:
//!
//! | request below `/api/v2` | answer |
//! |---|---|
//! | `GET /pools/{pool}` | `{name, totalMb, freeMb, lunCount}` |
//! | `POST /luns` `{pool, label, sizeMb, clientRef}` | 201 and the lun; 409 `DUPLICATE_CLIENT_REF` |
//! | `GET /luns?pool=&clientRef=&pageSize=&pageToken=` | `{items: [lun…], nextPageToken}` |
//! | `GET /luns/{lun}` | `{lunId, pool, label, sizeMb, usedMb, serial, wwid, clientRef, status, copiedFrom, mappedTo: [host…]}` |
//! | `DELETE /luns/{lun}` | 204; 409 `LUN_MAPPED`, `COPY_IN_PROGRESS` |
//! | `POST /luns/{lun}/resize` `{sizeMb}` | the lun |
//! | `POST /luns/{lun}/copy` `{label, sizeMb, clientRef}` | 202 `{taskId, lunId}`: it copies in the background |
//! | `GET /tasks/{task}` | `{taskId, state: running, done or failed, percent, lunId, message}` |
//! | `DELETE /tasks/{task}` | 204: ended, and what it made so far is gone |
//! | `PUT /hosts/{host}` `{initiators: [iqn…], chap: {user, secret}}` | `{host, targetIqn, portals, initiators, chapUser}` |
//! | `GET /hosts/{host}`, `DELETE /hosts/{host}` | the same; 204, 409 `HOST_HAS_MAPPINGS` |
//! | `PUT /luns/{lun}/mappings/{host}` | `{lunId, host, unit, targetIqn, portals}`; 404 `NO_SUCH_HOST` |
//! | `GET`, `DELETE /luns/{lun}/mappings/{host}` | the same; 204; 404 `NOT_MAPPED` |
//!
//! Each host has a target of its own with its initiators and its CHAP user; a unit is shown there under a number of that
//! target. Requests carry `X-Auth-Token`. Errors are `{error: {code, message, lunId}}`. The only idempotency is `clientRef`.
//!
//! Below `/lab` is what a test does to it and nobody else: faults that prove that they hit, a serial number that changes, a
//! secret that changes, and what is really there by the words of `tgtd`.

pub(crate) mod api;
mod copy;
mod fault;
mod lab;
mod luns;
mod process;
mod state;
mod tgt;

pub use self::{
    api::serve,
    fault::{Fault, FaultKind, Hit},
    lab::Left,
    process::ArrayProcess,
    state::{Setup, State},
};
