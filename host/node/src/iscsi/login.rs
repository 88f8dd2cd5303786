//! The login: who we are, CHAP (RFC 1994 with MD5), and the few parameters that a session of questions needs.

use md5::{Digest as _, Md5};
use tokio::net::TcpStream;
use velum_model::{
    fault::{Fault, code},
    port::Secret,
};

use super::{
    Login,
    pdu::{DATA_MAX, Pdu, op},
    session::broken,
};

/// Requests of one login: three for CHAP, one or two for parameters, and targets that answer in pieces.
const ROUNDS: usize = 12;
/// Stages of a login.
const SECURITY: u8 = 0;
const OPERATIONAL: u8 = 1;
const FULL: u8 = 3;
/// Flags of a login request: the transition bit.
const TRANSIT: u8 = 0x80;
/// The longest challenge that RFC 7143 allows.
const CHALLENGE_MAX: usize = 1024;

/// What the session goes on with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Numbers {
    /// Of the next command.
    pub(super) command: u32,
    /// Of the next status.
    pub(super) status: u32,
}

/// One connection while it logs in.
struct Talk<'a> {
    stream: &'a mut TcpStream,
    login: Login<'a>,
    isid: [u8; 6],
    status: u32,
    rounds: usize,
}

/// Texts of a response, and whether the target goes to the stage that was asked for.
struct Answer {
    pairs: Vec<(String, String)>,
    transits: bool,
}

impl Answer {
    fn get(&self, key: &str) -> Option<&str> {
        self.pairs
            .iter()
            .find(|(known, _)| known == key)
            .map(|(_, value)| value.as_str())
    }
}

/// Logs in on a connection.
///
/// # Errors
/// `DENIED` when the target refuses, `NOT_FOUND` when it is not there, `NONSENSE` when it does not speak the protocol.
pub(super) async fn login(stream: &mut TcpStream, login: Login<'_>, isid: [u8; 6]) -> Result<Numbers, Fault> {
    let mut talk = Talk {
        stream,
        login,
        isid,
        status: 0,
        rounds: 0,
    };
    talk.introduce().await?;
    talk.negotiate().await?;
    Ok(Numbers {
        command: 1,
        status: talk.status,
    })
}

impl Talk<'_> {
    fn refused(&self, what: impl std::fmt::Display) -> Fault {
        let unit = self.login.unit;
        Fault::unchanged(
            code::DENIED,
            format!(
                "the target {} at {} refuses the login of {}: {what}",
                unit.target, unit.portal, self.login.initiator
            ),
        )
    }

    /// The security stage.
    async fn introduce(&mut self) -> Result<(), Fault> {
        let unit = self.login.unit;
        let method = if unit.user.is_some() { "CHAP" } else { "None" };
        let first = [
            ("InitiatorName", self.login.initiator),
            ("TargetName", unit.target.as_str()),
            ("SessionType", "Normal"),
            ("AuthMethod", method),
        ];
        let Some(user) = unit.user.as_deref() else {
            let answer = self.ask(TRANSIT | SECURITY << 2 | OPERATIONAL, &first).await?;
            return if answer.transits {
                Ok(())
            } else {
                Err(self.refused("it asks for a secret, and the attachment names none"))
            };
        };
        let Some(secret) = self.login.secret else {
            return Err(self.refused(format!("the secret of {user} is not at hand")));
        };
        let answer = self.ask(SECURITY << 2, &first).await?;
        if answer.get("AuthMethod") != Some("CHAP") {
            return Err(self.refused("it does not take CHAP"));
        }
        let answer = self.ask(SECURITY << 2, &[("CHAP_A", "5")]).await?;
        let reply = challenge(&answer)
            .and_then(|(id, challenge)| Some(response(id, secret, &challenge?)))
            .ok_or_else(|| self.refused("it sends no CHAP challenge under MD5"))?;
        let last = [("CHAP_N", user), ("CHAP_R", reply.as_str())];
        let answer = self.ask(TRANSIT | SECURITY << 2 | OPERATIONAL, &last).await?;
        if answer.transits {
            Ok(())
        } else {
            Err(self.refused("it wants to go on with security after the secret"))
        }
    }

    /// The operational stage.
    async fn negotiate(&mut self) -> Result<(), Fault> {
        let most = DATA_MAX.to_string();
        let wanted = [
            ("HeaderDigest", "None"),
            ("DataDigest", "None"),
            ("MaxRecvDataSegmentLength", most.as_str()),
            ("InitialR2T", "Yes"),
            ("ImmediateData", "No"),
            ("MaxBurstLength", most.as_str()),
            ("FirstBurstLength", most.as_str()),
            ("MaxConnections", "1"),
            ("MaxOutstandingR2T", "1"),
            ("DefaultTime2Wait", "0"),
            ("DefaultTime2Retain", "0"),
            ("ErrorRecoveryLevel", "0"),
            ("DataPDUInOrder", "Yes"),
            ("DataSequenceInOrder", "Yes"),
        ];
        let mut pairs: &[(&str, &str)] = &wanted;
        loop {
            let answer = self.ask(TRANSIT | OPERATIONAL << 2 | FULL, pairs).await?;
            for digest in ["HeaderDigest", "DataDigest"] {
                if answer.get(digest).is_some_and(|chosen| chosen != "None") {
                    return Err(self.refused(format!("it wants a {digest}, which was not offered")));
                }
            }
            if answer.transits {
                return Ok(());
            }
            // It declared parameters of its own first.
            pairs = &[];
        }
    }

    async fn ask(&mut self, flags: u8, pairs: &[(&str, &str)]) -> Result<Answer, Fault> {
        self.rounds += 1;
        if self.rounds > ROUNDS {
            return Err(self.refused(format!("it does not come to an end in {ROUNDS} requests")));
        }
        let mut request = Pdu::new(op::LOGIN | op::IMMEDIATE, flags);
        request.header[8..14].copy_from_slice(&self.isid);
        request.put(24, 1);
        request.put(28, self.status);
        for (key, value) in pairs {
            request.data.extend_from_slice(key.as_bytes());
            request.data.push(b'=');
            request.data.extend_from_slice(value.as_bytes());
            request.data.push(0);
        }
        let unit = self.login.unit;
        request
            .send(self.stream)
            .await
            .map_err(|error| broken(unit, &error))?;
        let response = Pdu::receive(self.stream)
            .await
            .map_err(|error| broken(unit, &error))?;
        self.judge(&response)?;
        self.status = response.number(24).wrapping_add(1);
        Ok(Answer {
            pairs: pairs_of(&response.data),
            transits: response.header[1] & TRANSIT != 0,
        })
    }

    /// The status of a response.
    fn judge(&self, response: &Pdu) -> Result<(), Fault> {
        let unit = self.login.unit;
        if response.code() != op::LOGIN_RESPONSE {
            return Err(Fault::unchanged(
                code::NONSENSE,
                format!("what answers at {} does not speak iSCSI", unit.portal),
            ));
        }
        let user = unit.user.as_deref().unwrap_or("nobody");
        match (response.header[36], response.header[37]) {
            (0, _) => Ok(()),
            (1, _) => Err(self.refused("it sends us to another portal, which was not granted")),
            (2, 1) => Err(self.refused(format!(
                "authentication failed: the secret that the server holds for the CHAP user {user} is not the array's"
            ))),
            (2, 2) => Err(self.refused("this initiator is not allowed there")),
            (2, 3) => Err(Fault::unchanged(
                code::NOT_FOUND,
                format!(
                    "there is no target {} for {} at {}",
                    unit.target, self.login.initiator, unit.portal
                ),
            )),
            (3, detail) => Err(Fault::unchanged(
                code::UNREACHABLE,
                format!("the target {} is out of service (3/{detail})", unit.target),
            )),
            (class, detail) => Err(self.refused(format!("status {class}/{detail}"))),
        }
    }
}

fn pairs_of(data: &[u8]) -> Vec<(String, String)> {
    data.split(|byte| *byte == 0)
        .filter_map(|text| {
            let text = String::from_utf8_lossy(text);
            let (key, value) = text.split_once('=')?;
            Some((key.to_owned(), value.to_owned()))
        })
        .collect()
}

/// Identifier and challenge, when the target chose MD5.
fn challenge(answer: &Answer) -> Option<(u8, Option<Vec<u8>>)> {
    let is_md5 = answer.get("CHAP_A")? == "5";
    let id = answer.get("CHAP_I")?.parse().ok().filter(|_| is_md5)?;
    Some((id, binary(answer.get("CHAP_C")?)))
}

/// A binary value as texts carry it: hexadecimal or base64.
fn binary(text: &str) -> Option<Vec<u8>> {
    let (form, digits) = text.split_at_checked(2)?;
    let bytes = match form {
        "0x" | "0X" => hex::decode(digits).ok()?,
        "0b" | "0B" => {
            use base64::Engine as _;
            base64::engine::general_purpose::STANDARD.decode(digits).ok()?
        }
        _ => return None,
    };
    (!bytes.is_empty() && bytes.len() <= CHALLENGE_MAX).then_some(bytes)
}

/// CHAP's answer: MD5 over identifier, secret and challenge.
fn response(id: u8, secret: &Secret, challenge: &[u8]) -> String {
    let mut digest = Md5::new();
    digest.update([id]);
    digest.update(secret.bytes());
    digest.update(challenge);
    format!("0x{}", hex::encode(digest.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_is_read_in_both_forms_and_answered() {
        assert_eq!(binary("0x0102").unwrap(), [1, 2]);
        assert_eq!(binary("0bAQI=").unwrap(), [1, 2]);
        for bad in ["", "0", "0x", "0x1", "12", "0b*"] {
            assert_eq!(binary(bad), None, "{bad}");
        }
        let answer = response(1, &Secret::new(b"secret".to_vec()), b"challenge");
        let expected = hex::encode(Md5::digest(b"\x01secretchallenge"));
        assert_eq!(answer, format!("0x{expected}"));
    }

    #[test]
    fn texts_are_pairs() {
        assert_eq!(
            pairs_of(b"A=1\0B=x=y\0\0junk"),
            [
                ("A".to_owned(), "1".to_owned()),
                ("B".to_owned(), "x=y".to_owned())
            ]
        );
    }
}
