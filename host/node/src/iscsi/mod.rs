//! A small iSCSI initiator (RFC 7143): enough to log in to a target and to ask a unit who it is.
//!
//! A provider says where a volume's unit is and by which serial number it is known. Before a guest sees a byte of it, and
//! before the mover writes one, the node logs in as the guest will, and asks the unit itself. QEMU's own driver does the
//! rest; a kernel initiator is not needed.

mod fill;
mod login;
mod pdu;
mod session;

pub use self::fill::fill;

use std::time::Duration;

use velum_model::{
    fault::{Fault, code},
    iscsi::IscsiUnit,
    port::{
        Secret,
        storage::{Attachment, registry},
    },
};

use self::session::Session;

/// How long a unit may take to say who it is: a handful of ways there and back, less than the server waits for its answer.
const ASKING: Duration = Duration::from_secs(8);

/// Who logs in, and where.
#[derive(Clone, Copy, Debug)]
pub struct Login<'a> {
    /// The node's own name.
    pub initiator: &'a str,
    /// The unit.
    pub unit: &'a IscsiUnit,
    /// The secret of its user.
    pub secret: Option<&'a Secret>,
}

/// The unit of an attachment.
///
/// # Errors
/// `INVALID` names the parameter that is wrong.
pub fn unit_of(attachment: &Attachment) -> Result<IscsiUnit, Fault> {
    IscsiUnit::of(attachment)
        .map_err(|why| Fault::unchanged(code::INVALID, format!("the attachment's parameters: {why}")))
}

/// Checks that a unit is there, says that it has the serial number that the provider promised, and has the size.
///
/// # Errors
/// `UNREACHABLE`, `DENIED` (the login), `NOT_FOUND` (no such target or unit), `EXISTS_DIFFERENT` names what differs.
/// Nothing changed.
pub async fn verify(login: Login<'_>, attachment: &Attachment) -> Result<(), Fault> {
    let unit = login.unit;
    let different = |what: String| {
        Fault::unchanged(
            code::EXISTS_DIFFERENT,
            format!("the unit {} at {}: {what}", unit.path(), unit.portal),
        )
    };
    if attachment.format != registry::FORMAT_RAW {
        return Err(different(format!("format {} is not raw (1)", attachment.format)));
    }
    if attachment.identity.is_empty() {
        return Err(different("no serial number was promised".to_owned()));
    }
    let asked = async {
        let mut session = Session::open(login).await?;
        let serial = session.serial().await?;
        let size = session.size().await?;
        session.close().await;
        Ok((serial, size))
    };
    let (serial, size) = tokio::time::timeout(ASKING, asked).await.map_err(|_| {
        Fault::unchanged(
            code::UNREACHABLE,
            format!(
                "the target {} at {} does not answer in time",
                unit.target, unit.portal
            ),
        )
    })??;
    if serial != attachment.identity {
        return Err(different(format!(
            "it says that its serial number is {serial:?}; the provider promised {:?}",
            attachment.identity
        )));
    }
    if size != attachment.size_bytes {
        return Err(different(format!(
            "a guest would see {size} bytes, not {}",
            attachment.size_bytes
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
