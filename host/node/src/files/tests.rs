use std::process::Command;

use velum_model::port::{Effect, Fence};

use super::*;
use crate::gate::{Entry, Gate};

struct Pool {
    dir: tempfile::TempDir,
    files: Files,
    gate: Gate,
    calls: std::sync::atomic::AtomicU32,
}

impl Pool {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("pool")).unwrap();
        std::fs::create_dir(dir.path().join("gate")).unwrap();
        let roots = Roots::new(vec![dir.path().join("pool")]);
        Self {
            files: Files::new(roots, Tools::probe().await),
            gate: Gate::open(&dir.path().join("gate")).unwrap(),
            dir,
            calls: std::sync::atomic::AtomicU32::default(),
        }
    }

    fn path(&self) -> String {
        self.dir.path().join("pool").display().to_string()
    }

    /// Each call counts as another verb, so that the gate remembers none: these tests are about the files.
    fn calls(&self) -> String {
        self.calls
            .fetch_add(1, std::sync::atomic::Ordering::Relaxed)
            .to_string()
    }

    async fn act(&self, effect: u128, verb: FilesVerb) -> Result<Value, Fault> {
        let effect = Effect {
            id: Uuid::from_u128(effect),
            attempt: 0,
            deadline_ms: 60_000,
        };
        let fence = Fence {
            shard: Uuid::nil(),
            epoch: 1,
            object: Uuid::from_u128(1),
            generation: 0,
        };
        let until = tokio::time::Instant::now() + Duration::from_secs(60);
        let Entry::Fresh(permit) = self.gate.enter(&fence, &effect, &self.calls(), until).await? else {
            panic!("not remembered by this test")
        };
        self.files.act(&self.path(), verb, effect.id, permit).await
    }

    async fn ask(&self, verb: FilesVerb) -> Result<Value, Fault> {
        self.files.ask(&self.path(), verb).await
    }
}

fn create(name: &str, format: u16, bytes: u64, backing: Option<&str>) -> FilesVerb {
    FilesVerb::Create {
        name: name.to_owned(),
        format,
        bytes,
        backing: backing.map(str::to_owned),
    }
}

fn remove(name: &str) -> FilesVerb {
    FilesVerb::Remove {
        name: name.to_owned(),
    }
}

fn resize(name: &str, bytes: u64) -> FilesVerb {
    FilesVerb::Resize {
        name: name.to_owned(),
        bytes,
    }
}

fn copy(source: &str, name: &str, format: u16) -> FilesVerb {
    FilesVerb::Copy {
        source: source.to_owned(),
        name: name.to_owned(),
        format,
    }
}

fn entries(limit: u32) -> FilesVerb {
    FilesVerb::Entries { after: None, limit }
}

const MIB: u64 = 1 << 20;

#[tokio::test]
async fn an_image_is_made_cloned_grown_copied_and_removed() {
    let pool = Pool::new().await;
    pool.act(1, create("base.qcow2", 2, 8 * MIB, None)).await.unwrap();
    pool.act(2, create("clone.qcow2", 2, 16 * MIB, Some("base.qcow2")))
        .await
        .unwrap();
    pool.act(3, create("raw.img", 1, MIB, None)).await.unwrap();
    let copy = copy("clone.qcow2", "copy.img", 1);
    assert_eq!(pool.act(4, copy).await.unwrap(), json!(Outcome::Done(Vec::new())));
    pool.act(5, resize("clone.qcow2", 32 * MIB)).await.unwrap();

    let all = pool.ask(entries(100)).await.unwrap();
    let all: Vec<velum_connector::message::files::Entry> = serde_json::from_value(all).unwrap();
    let seen: Vec<_> = all
        .iter()
        .map(|e| {
            (
                e.name.as_str(),
                e.format,
                e.virtual_bytes / MIB,
                e.backing.as_deref(),
            )
        })
        .collect();
    assert_eq!(
        seen,
        [
            ("base.qcow2", 2, 8, None),
            ("clone.qcow2", 2, 32, Some("base.qcow2")),
            ("copy.img", 1, 16, None),
            ("raw.img", 1, 1, None),
        ]
    );
    assert_eq!(all[0].owner, Uuid::from_u128(1).to_string());
    // QEMU agrees, backing format included.
    let info = Command::new("qemu-img")
        .args(["info", "--output=json", "-f", "qcow2"])
        .arg(format!("{}/clone.qcow2", pool.path()))
        .output()
        .unwrap();
    let info: Value = serde_json::from_slice(&info.stdout).unwrap();
    assert_eq!(info["backing-filename-format"], "qcow2");
    assert_eq!(info["virtual-size"], 32 * MIB);

    let busy = pool.act(6, remove("base.qcow2")).await.unwrap_err();
    assert_eq!((busy.code, busy.unchanged), (code::BUSY, true));
    for name in ["clone.qcow2", "base.qcow2", "copy.img", "raw.img", "raw.img"] {
        pool.act(7, remove(name)).await.unwrap();
    }
    assert_eq!(pool.ask(entries(9)).await.unwrap(), json!([]));
    let left: Vec<_> = std::fs::read_dir(format!("{}/.velum/made", pool.path()))
        .unwrap()
        .collect();
    assert!(left.is_empty());
}

#[tokio::test]
async fn the_same_effect_again_changes_nothing_and_another_is_told_the_name_is_taken() {
    let pool = Pool::new().await;
    let again = || create("a.qcow2", 2, MIB, None);
    pool.act(1, again()).await.unwrap();
    let path = format!("{}/a.qcow2", pool.path());
    let before = std::fs::metadata(&path).unwrap().modified().unwrap();
    pool.act(1, again()).await.unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().modified().unwrap(), before);
    let fault = pool.act(2, again()).await.unwrap_err();
    assert_eq!((fault.code, fault.unchanged), (code::EXISTS_DIFFERENT, true));
    // One that nobody made here is not touched either.
    std::fs::write(format!("{}/foreign.qcow2", pool.path()), "x").unwrap();
    let fault = pool
        .act(3, create("foreign.qcow2", 2, MIB, None))
        .await
        .unwrap_err();
    assert_eq!(fault.code, code::EXISTS_DIFFERENT);
}

#[tokio::test]
async fn what_is_wrong_is_named_and_changes_nothing() {
    let pool = Pool::new().await;
    pool.act(1, create("base.qcow2", 2, 8 * MIB, None)).await.unwrap();
    for (verb, expected) in [
        (create("../x", 2, MIB, None), code::INVALID),
        (create(".x", 2, MIB, None), code::INVALID),
        (create("a b", 2, MIB, None), code::INVALID),
        (create("-rf,x", 2, MIB, None), code::INVALID),
        (create("a", 2, 0, None), code::INVALID),
        (create("a", 2, MIB + 1, None), code::INVALID),
        (create("a", 2, u64::MAX, None), code::INVALID),
        (create("a", 7, MIB, None), code::UNSUPPORTED),
        (create("a", 1, 8 * MIB, Some("base.qcow2")), code::UNSUPPORTED),
        (create("a", 2, 8 * MIB, Some("missing")), code::NOT_FOUND),
        (create("a", 2, 8 * MIB, Some("../../etc/passwd")), code::INVALID),
        (create("a", 2, MIB, Some("base.qcow2")), code::INVALID),
        (resize("base.qcow2", MIB), code::UNSUPPORTED),
        (resize("missing", MIB), code::NOT_FOUND),
        (copy("missing", "a", 2), code::NOT_FOUND),
    ] {
        let fault = pool.act(9, verb.clone()).await.unwrap_err();
        assert!(fault.code == expected && fault.unchanged, "{verb:?}: {fault}");
    }
    let missing = pool
        .ask(FilesVerb::Locate {
            name: "missing".to_owned(),
        })
        .await
        .unwrap_err();
    assert_eq!((missing.code, missing.unchanged), (code::NOT_FOUND, true));
    assert_eq!(
        pool.ask(FilesVerb::Inspect {
            name: "missing".to_owned()
        })
        .await,
        Ok(Value::Null)
    );
    let elsewhere = pool.files.ask("/etc", FilesVerb::Space).await.unwrap_err();
    assert_eq!(elsewhere.code, code::DENIED);
    let unknown = pool
        .ask(FilesVerb::Poll {
            token: "x".to_owned(),
        })
        .await
        .unwrap_err();
    assert_eq!(unknown.code, code::NOT_FOUND);
}

#[tokio::test]
async fn a_header_that_a_guest_wrote_into_its_raw_disk_means_nothing() {
    let pool = Pool::new().await;
    pool.act(1, create("secret.qcow2", 2, MIB, None)).await.unwrap();
    pool.act(2, create("disk.img", 1, MIB, None)).await.unwrap();
    let path = format!("{}/disk.img", pool.path());
    let made = Command::new("qemu-img")
        .args([
            "create",
            "-q",
            "-f",
            "qcow2",
            "-u",
            "-b",
            "secret.qcow2",
            "-F",
            "qcow2",
            &path,
            "1T",
        ])
        .status()
        .unwrap();
    assert!(made.success());
    let length = std::fs::metadata(&path).unwrap().len();
    let entry = pool
        .ask(FilesVerb::Inspect {
            name: "disk.img".to_owned(),
        })
        .await
        .unwrap();
    assert_eq!(entry["format"], 1);
    assert_eq!(entry["virtual_bytes"], length);
    assert_eq!(entry["backing"], Value::Null);
}

#[tokio::test]
async fn what_a_making_that_was_cut_off_left_is_found_and_removed() {
    let pool = Pool::new().await;
    pool.act(1, create("other.qcow2", 2, MIB, None)).await.unwrap();
    let own = pool.dir.path().join("pool/.velum");
    let inspect = || FilesVerb::Inspect {
        name: "cut.qcow2".to_owned(),
    };
    assert_eq!(pool.ask(inspect()).await.unwrap(), Value::Null);
    for left in [
        "tmp/cut.qcow2",
        "tmp/cut.qcow2.fill",
        "made/cut.qcow2",
        "made/.new-cut.qcow2",
    ] {
        std::fs::write(own.join(left), "half").unwrap();
        let found = pool.ask(inspect()).await.unwrap();
        assert_eq!(
            (&found["virtual_bytes"], &found["name"]),
            (&json!(0), &json!("cut.qcow2")),
            "{left}"
        );
        pool.act(2, remove("cut.qcow2")).await.unwrap();
        assert_eq!(pool.ask(inspect()).await.unwrap(), Value::Null, "{left}");
    }
    // It is no image: neither listed nor in the way of one.
    std::fs::write(own.join("tmp/cut.qcow2"), "half").unwrap();
    let all = pool.ask(entries(100)).await.unwrap();
    assert_eq!(all.as_array().map(Vec::len), Some(1));
    pool.act(3, create("cut.qcow2", 2, MIB, None)).await.unwrap();
    assert_eq!(pool.ask(inspect()).await.unwrap()["virtual_bytes"], json!(MIB));
}
