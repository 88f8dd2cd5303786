//! Rows of the authority, of node tokens and of nodes.

use uuid::Uuid;

use super::{Keyed, bytes, hex, row};
use crate::commit::Change;

pub(crate) fn keep_authority(change: &Change) -> Keyed {
    let Change::KeepAuthority(authority) = change else {
        return None;
    };
    let row = row!({
        "certificate": bytes(&authority.certificate), "key": bytes(&authority.key),
        "created_at": authority.created_at,
    });
    Some((Uuid::nil(), row))
}

pub(crate) fn insert_node_token(change: &Change) -> Keyed {
    let Change::InsertNodeToken(token) = change else {
        return None;
    };
    let row = row!({
        "id": hex(token.id), "hash": bytes(&token.hash), "created_by": token.created_by,
        "created_at": token.created_at, "expires_at": token.expires_at,
    });
    Some((token.id.uuid(), row))
}

pub(crate) fn enrol_node(change: &Change) -> Keyed {
    let Change::EnrolNode { node, .. } = change else {
        return None;
    };
    let row = row!({
        "id": hex(node.id), "key_hash": bytes(&node.key_hash), "address": node.address,
        "enrolled_at": node.enrolled_at, "expires_at": node.expires_at,
    });
    Some((node.id.uuid(), row))
}

pub(crate) fn use_node_token(change: &Change) -> Keyed {
    let Change::EnrolNode { node, token } = change else {
        return None;
    };
    let row = row!({ "id": hex(*token), "node": hex(node.id), "used_at": node.enrolled_at });
    Some((token.uuid(), row))
}
