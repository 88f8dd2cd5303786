//! The initiator against a target of the test's own, which speaks just enough.

use md5::{Digest as _, Md5};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use velum_model::{
    fault::code,
    iscsi::IscsiUnit,
    port::{
        Secret,
        storage::{Attachment, registry},
        target::Attr,
    },
};

use super::{
    Login,
    pdu::{Pdu, op},
    verify,
};

const TARGET: &str = "iqn.2026-01.example.array:g1";
const INITIATOR: &str = "iqn.2026-01.internal.velum:node.1";
const SECRET: &str = "AbCdEfGhIjKlMnOp";
const BLOCKS: u64 = 2048;

/// What a target shows.
struct Shown {
    secret: &'static str,
    serial: &'static str,
}

/// A target that answers one session. Answers how many requests it saw after the login.
async fn target(shown: Shown) -> (String, JoinHandle<usize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let portal = listener.local_addr().unwrap().to_string();
    let serving = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut asked = 0;
        if logs_in(&mut stream, &shown).await {
            while let Ok(request) = Pdu::receive(&mut stream).await {
                if request.code() == op::LOGOUT {
                    break;
                }
                asked += 1;
                answer(&mut stream, &request, &shown, asked).await;
            }
        }
        asked
    });
    (portal, serving)
}

fn login_response(request: &Pdu, status: (u8, u8), text: &str) -> Pdu {
    let mut response = Pdu::new(op::LOGIN_RESPONSE, request.header[1]);
    (response.header[36], response.header[37]) = status;
    response.data = text.as_bytes().to_vec();
    response
}

/// Whether the initiator knows the secret.
async fn logs_in(stream: &mut TcpStream, shown: &Shown) -> bool {
    let challenge = [7; 16];
    let expected = {
        let mut digest = Md5::new();
        digest.update([9]);
        digest.update(shown.secret);
        digest.update(challenge);
        format!("CHAP_R=0x{}", hex::encode(digest.finalize()))
    };
    loop {
        let request = Pdu::receive(stream).await.unwrap();
        let text = String::from_utf8_lossy(&request.data).into_owned();
        let (status, answer) = if text.contains("AuthMethod=CHAP") {
            assert!(text.contains(&format!("InitiatorName={INITIATOR}\0")), "{text:?}");
            ((0, 0), "AuthMethod=CHAP\0TargetPortalGroupTag=1\0".to_owned())
        } else if text.contains("CHAP_A=") {
            let hex = hex::encode(challenge);
            ((0, 0), format!("CHAP_A=5\0CHAP_I=9\0CHAP_C=0x{hex}\0"))
        } else if text.contains("CHAP_R=") {
            if text.contains(&expected) {
                ((0, 0), String::new())
            } else {
                ((2, 1), String::new())
            }
        } else {
            ((0, 0), "HeaderDigest=None\0DataDigest=None\0".to_owned())
        };
        login_response(&request, status, &answer)
            .send(stream)
            .await
            .unwrap();
        if status != (0, 0) {
            return false;
        }
        // Operational to full feature: it is in.
        if request.header[1] & 0x8f == 0x87 {
            return true;
        }
    }
}

async fn answer(stream: &mut TcpStream, request: &Pdu, shown: &Shown, number: usize) {
    assert_eq!(request.code(), op::COMMAND);
    assert_eq!(request.header[9], 3, "the unit's number");
    let is_inquiry = request.header[32] == 0x12;
    if number == 2 {
        // What happened to the unit before: told once, and no failure.
        let mut attention = Pdu::new(op::RESPONSE, 0x80);
        attention.header[3] = 2;
        attention.data = vec![0, 18, 0x70, 0, 6];
        attention.data.resize(20, 0);
        attention.send(stream).await.unwrap();
        return;
    }
    let mut data = Pdu::new(op::DATA_IN, 0x80 | u8::from(!is_inquiry));
    data.data = if is_inquiry {
        let mut page = vec![0, 0x80, 0, shown.serial.len() as u8];
        page.extend_from_slice(shown.serial.as_bytes());
        page
    } else {
        let mut size = (BLOCKS - 1).to_be_bytes().to_vec();
        size.extend_from_slice(&512_u32.to_be_bytes());
        size.resize(32, 0);
        size
    };
    data.send(stream).await.unwrap();
    if is_inquiry {
        // Here the status comes after the data.
        Pdu::new(op::RESPONSE, 0x80).send(stream).await.unwrap();
    }
}

fn attachment(portal: &str, identity: &str, size: u64) -> Attachment {
    Attachment {
        kind: registry::ATTACH_ISCSI,
        format: registry::FORMAT_RAW,
        identity: identity.to_owned(),
        size_bytes: size,
        params: vec![
            Attr::text(registry::PARAM_PORTAL, portal),
            Attr::text(registry::PARAM_TARGET, TARGET),
            Attr::number(registry::PARAM_LUN, 3),
            Attr::text(registry::PARAM_USER, "velum"),
        ],
        secret: Some("chap".to_owned()),
    }
}

async fn asked(shown: Shown, identity: &str, size: u64) -> (Result<(), (u16, String)>, usize) {
    let (portal, serving) = target(shown).await;
    let attachment = attachment(&portal, identity, size);
    let unit = IscsiUnit::of(&attachment).unwrap();
    let secret = Secret::new(SECRET.as_bytes().to_vec());
    let login = Login {
        initiator: INITIATOR,
        unit: &unit,
        secret: Some(&secret),
    };
    let verified = verify(login, &attachment).await;
    let verified = verified.map_err(|fault| {
        assert!(fault.unchanged, "{fault}");
        assert!(!fault.detail.contains(SECRET), "{fault}");
        (fault.code, fault.detail)
    });
    (verified, serving.await.unwrap())
}

#[tokio::test]
async fn a_unit_that_is_what_was_promised_is_believed() {
    let shown = Shown {
        secret: SECRET,
        serial: "VA-1  ",
    };
    assert_eq!(asked(shown, "VA-1", BLOCKS * 512).await, (Ok(()), 3));
}

#[tokio::test]
async fn another_serial_number_or_size_is_refused_with_both() {
    let shown = |serial| Shown {
        secret: SECRET,
        serial,
    };
    let (refused, _) = asked(shown("VA-2"), "VA-1", BLOCKS * 512).await;
    let (code, why) = refused.unwrap_err();
    assert_eq!(code, code::EXISTS_DIFFERENT);
    assert!(why.contains("VA-1") && why.contains("VA-2"), "{why}");
    let (refused, _) = asked(shown("VA-1"), "VA-1", BLOCKS * 512 + 1).await;
    let (code, why) = refused.unwrap_err();
    assert_eq!(code, code::EXISTS_DIFFERENT);
    assert!(why.contains(&(BLOCKS * 512).to_string()), "{why}");
}

#[tokio::test]
async fn a_secret_that_is_not_the_arrays_is_refused_before_anything_is_asked() {
    let shown = Shown {
        secret: "another secret!!",
        serial: "VA-1",
    };
    let (refused, questions) = asked(shown, "VA-1", BLOCKS * 512).await;
    let (code, why) = refused.unwrap_err();
    assert_eq!((code, questions), (code::DENIED, 0));
    assert!(
        why.contains("authentication failed") && why.contains("velum"),
        "{why}"
    );
}

#[tokio::test]
async fn who_does_not_speak_the_protocol_is_told_from_who_is_away() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let portal = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = stream.read(&mut [0; 16]).await;
        let _ = stream.write_all(&[0; 48]).await;
    });
    let secret = Secret::new(SECRET.as_bytes().to_vec());
    for (portal, expected) in [
        (portal.as_str(), code::NONSENSE),
        ("127.0.0.1:1", code::UNREACHABLE),
    ] {
        let attachment = attachment(portal, "VA-1", 512);
        let unit = IscsiUnit::of(&attachment).unwrap();
        let login = Login {
            initiator: INITIATOR,
            unit: &unit,
            secret: Some(&secret),
        };
        assert_eq!(
            verify(login, &attachment).await.unwrap_err().code,
            expected,
            "{portal}"
        );
    }
}
