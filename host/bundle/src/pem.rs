//! PEM (RFC 7468), strictly: one block, nothing around it but white space.

use base64::{Engine as _, engine::general_purpose::STANDARD};

/// Characters of a line, by the standard.
const LINE: usize = 64;
/// The longest text: a key has 120 bytes.
const LONGEST: usize = 4096;

/// The content of the block with this label.
pub fn decode(text: &str, label: &str) -> Option<Vec<u8>> {
    if text.len() > LONGEST {
        return None;
    }
    let body = text
        .trim()
        .strip_prefix(&format!("-----BEGIN {label}-----"))?
        .strip_suffix(&format!("-----END {label}-----"))?;
    let digits: String = body.lines().map(str::trim_end).collect();
    STANDARD.decode(digits).ok()
}

/// A block with this label.
pub fn encode(content: &[u8], label: &str) -> String {
    let digits = STANDARD.encode(content);
    let mut text = format!("-----BEGIN {label}-----\n");
    let mut rest = digits.as_str();
    while !rest.is_empty() {
        // base64 is ASCII: every place is a boundary.
        let (line, behind) = rest.split_at(rest.len().min(LINE));
        text.push_str(line);
        text.push('\n');
        rest = behind;
    }
    text.push_str(&format!("-----END {label}-----\n"));
    text
}
