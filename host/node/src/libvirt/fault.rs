//! What an error of libvirt means to the server.

use velum_model::fault::{Fault, code};
use virt::error::{Error, ErrorDomain, ErrorNumber};

/// The fault for an error that happened while doing something.
pub(super) fn faulted(doing: &str, error: &Error) -> Fault {
    use ErrorNumber as N;
    let (code, unchanged) = match (error.domain(), error.code()) {
        // The connection broke: the call may have arrived.
        (ErrorDomain::Rpc, N::InternalError | N::SystemError | N::Rpc) | (_, N::Rpc | N::NoConnect) => {
            (code::UNREACHABLE, false)
        }
        (_, N::NoDomain) => (code::NOT_FOUND, true),
        (_, N::DeviceMissing) => (code::NOT_FOUND, true),
        (_, N::OperationTimeout | N::ResourceBusy) => (code::BUSY, false),
        (_, N::NoMemory) => (code::EXHAUSTED, false),
        (_, N::AuthFailed | N::AccessDenied | N::OperationDenied) => (code::DENIED, true),
        (_, N::InvalidArg | N::XmlError | N::XmlDetail | N::XmlInvalidSchema | N::OperationInvalid) => {
            (code::INVALID, true)
        }
        (_, N::NoSupport | N::ConfigUnsupported | N::OperationUnsupported | N::ArgumentUnsupported) => {
            (code::UNSUPPORTED, true)
        }
        _ => (code::FAILED, false),
    };
    Fault {
        code,
        unchanged,
        retry_after_ms: None,
        detail: format!("{doing}: {}", error.message()),
    }
}
