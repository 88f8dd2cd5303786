//! The provider against a directory that is a table in memory.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "what a test's set-up cannot do is a failed test"
)]

use std::{cell::RefCell, collections::BTreeMap};

use storage_dir::volumes::{self, Directory, Image};
use velum_guest::{
    codes::fault,
    common::{Attr, Attrs as _, Effect, Fault, Outcome},
    connect::files::{Entry, Space},
    provider::{Source, Volume, VolumeSpec, code},
};

#[derive(Default)]
struct Table {
    files: RefCell<BTreeMap<String, Entry>>,
    /// Whether making takes long.
    slow: bool,
    effects: RefCell<Vec<String>>,
}

impl Directory for Table {
    fn space(&self) -> Result<Space, Fault> {
        Ok(Space {
            capacity_bytes: 100,
            free_bytes: 40,
        })
    }
    fn create(&self, effect: &Effect, image: &Image<'_>) -> Result<Outcome, Fault> {
        let mut files = self.files.borrow_mut();
        assert!(
            files.get(image.name).is_none_or(|entry| entry.virtual_bytes == 0),
            "it looked before it made {}",
            image.name
        );
        if image.backing.is_some_and(|backing| !files.contains_key(backing)) {
            return Err(Fault::not_found("the backing file"));
        }
        self.effects.borrow_mut().push(effect.id.clone());
        let entry = Entry {
            name: image.name.to_owned(),
            format: image.format,
            virtual_bytes: image.bytes,
            allocated_bytes: 4096,
            backing: image.backing.map(str::to_owned),
            owner: effect.id.clone(),
        };
        files.insert(image.name.to_owned(), entry);
        Ok(if self.slow {
            Outcome::working(&effect.id, 10, "making")
        } else {
            Outcome::done()
        })
    }
    fn resize(&self, _: &Effect, name: &str, bytes: u64) -> Result<(), Fault> {
        self.files.borrow_mut().get_mut(name).unwrap().virtual_bytes = bytes;
        Ok(())
    }
    fn remove(&self, _: &Effect, name: &str) -> Result<(), Fault> {
        let mut files = self.files.borrow_mut();
        if files.values().any(|entry| entry.backing.as_deref() == Some(name)) {
            return Err(Fault::unchanged(fault::BUSY, "another depends on it"));
        }
        files.remove(name);
        Ok(())
    }
    fn inspect(&self, name: &str) -> Result<Option<Entry>, Fault> {
        Ok(self.files.borrow().get(name).cloned())
    }
    fn locate(&self, name: &str) -> Result<String, Fault> {
        Ok(format!("/pool/{name}"))
    }
    fn entries(&self, after: Option<&str>, limit: u32) -> Result<Vec<Entry>, Fault> {
        let files = self.files.borrow();
        let beyond = files
            .values()
            .filter(|entry| after.is_none_or(|after| entry.name.as_str() > after));
        Ok(beyond.take(limit as usize).cloned().collect())
    }
    fn poll(&self, token: &str) -> Result<Outcome, Fault> {
        assert_eq!(token, "effect-1");
        Ok(Outcome::done())
    }
    fn cancel(&self, token: &str) -> Result<(), Fault> {
        assert_eq!(token, "effect-1");
        Ok(())
    }
}

fn id(number: u16) -> String {
    format!("0192a2b4-5c6d-7e8f-9a0b-1c2d3e4f{number:04x}")
}

fn effect(number: u16) -> Effect {
    Effect {
        id: format!("effect-{number}"),
        attempt: 0,
        deadline_ms: 1000,
    }
}

fn volume(number: u16) -> Volume {
    Volume {
        id: id(number),
        backend_id: format!("{}.qcow2", id(number)),
    }
}

fn spec(number: u16, kind: u16, of: Option<Volume>) -> VolumeSpec {
    VolumeSpec {
        id: id(number),
        size_bytes: 1 << 30,
        format: code::FORMAT_QCOW2,
        source: Source { kind, of },
        attrs: vec![Attr::text(code::SPEC_IMAGE_REF, "image")],
    }
}

fn backend_id(outcome: &Outcome) -> &str {
    let Outcome::Done(attrs) = outcome else {
        panic!("{outcome:?} is not done")
    };
    attrs.text(code::DONE_BACKEND_ID).unwrap()
}

#[test]
fn a_template_becomes_a_layer_and_volumes_are_clones_of_it() {
    let pool = Table::default();
    let layer = volumes::create(&pool, &effect(1), &spec(1, code::SOURCE_IMAGE, None)).unwrap();
    assert_eq!(backend_id(&layer), volume(1).backend_id);
    for _ in 0..2 {
        let clone =
            volumes::create(&pool, &effect(2), &spec(2, code::SOURCE_LAYER, Some(volume(1)))).unwrap();
        assert_eq!(backend_id(&clone), volume(2).backend_id);
    }
    assert_eq!(
        *pool.effects.borrow(),
        ["effect-1", "effect-2"],
        "the second ask made nothing"
    );
    let info = volumes::find(&pool, &id(2)).unwrap().unwrap();
    assert_eq!(
        (info.parent.as_deref(), info.size_bytes, info.state),
        (Some(volume(1).backend_id.as_str()), 1 << 30, 1)
    );
    assert_eq!(
        volumes::delete(&pool, &effect(3), &volume(1)).unwrap_err().code,
        fault::BUSY
    );
    for _ in 0..2 {
        assert_eq!(
            volumes::delete(&pool, &effect(4), &volume(2)),
            Ok(Outcome::done())
        );
    }
    assert_eq!(
        volumes::delete(&pool, &effect(5), &volume(1)),
        Ok(Outcome::done())
    );
    assert_eq!(volumes::find(&pool, &id(1)), Ok(None));
}

#[test]
fn what_is_there_as_something_else_is_refused() {
    let pool = Table::default();
    volumes::create(&pool, &effect(1), &spec(1, code::SOURCE_BLANK, None)).unwrap();
    let mut other = spec(1, code::SOURCE_BLANK, None);
    other.size_bytes *= 2;
    let fault = volumes::create(&pool, &effect(2), &other).unwrap_err();
    assert_eq!((fault.code, fault.unchanged), (fault::EXISTS_DIFFERENT, true));
}

#[test]
fn what_cannot_be_made_is_refused_before_anything_is_asked() {
    type Breaks = fn(&mut VolumeSpec);
    let pool = Table::default();
    let broken: [(u16, Breaks); 6] = [
        (fault::INVALID, |s| s.id = "../../etc/passwd".to_owned()),
        (fault::INVALID, |s| s.size_bytes = 513),
        (fault::INVALID, |s| s.size_bytes = 1 << 50),
        (fault::UNSUPPORTED, |s| s.format = code::FORMAT_RAW),
        (fault::UNSUPPORTED, |s| s.source.kind = code::SOURCE_SNAPSHOT),
        (fault::INVALID, |s| {
            s.source = Source {
                kind: code::SOURCE_LAYER,
                of: Some(Volume {
                    id: id(1),
                    backend_id: "../x".to_owned(),
                }),
            };
        }),
    ];
    for (code, breaks) in broken {
        let mut spec = spec(1, code::SOURCE_BLANK, None);
        breaks(&mut spec);
        let fault = volumes::create(&pool, &effect(1), &spec).unwrap_err();
        assert_eq!((fault.code, fault.unchanged), (code, true), "{}", fault.detail);
    }
    assert!(pool.files.borrow().is_empty());
}

#[test]
fn long_work_ends_with_the_name_of_what_it_made() {
    let pool = Table {
        slow: true,
        ..Table::default()
    };
    let Outcome::Working(job) =
        volumes::create(&pool, &effect(1), &spec(1, code::SOURCE_BLANK, None)).unwrap()
    else {
        panic!("it takes long")
    };
    assert_eq!(
        backend_id(&volumes::poll(&pool, &job.token).unwrap()),
        volume(1).backend_id
    );
    assert_eq!(volumes::cancel(&pool, &job.token), Ok(Outcome::done()));
    assert_eq!(volumes::poll(&pool, "effect-1").unwrap_err().code, fault::INVALID);
}

#[test]
fn a_volume_is_reached_by_its_path_while_it_is_there() {
    let pool = Table::default();
    assert_eq!(
        volumes::publish(&pool, &volume(1)).unwrap_err().code,
        fault::NOT_FOUND
    );
    assert_eq!(volumes::reached_by(&pool, &volume(1)), Ok(None));
    volumes::create(&pool, &effect(1), &spec(1, code::SOURCE_BLANK, None)).unwrap();
    assert_eq!(volumes::publish(&pool, &volume(1)), Ok(Outcome::done()));
    let attachment = volumes::reached_by(&pool, &volume(1)).unwrap().unwrap();
    assert_eq!(
        (attachment.kind, attachment.format, attachment.size_bytes),
        (1, 2, 1 << 30)
    );
    assert_eq!(attachment.identity, id(1));
    assert_eq!(
        attachment.params.text(code::PARAM_PATH),
        Some(format!("/pool/{}.qcow2", id(1)).as_str())
    );
}

#[test]
fn a_volume_grows_and_never_shrinks() {
    let pool = Table::default();
    volumes::create(&pool, &effect(1), &spec(1, code::SOURCE_BLANK, None)).unwrap();
    for _ in 0..2 {
        assert_eq!(
            volumes::expand(&pool, &effect(2), &volume(1), 2 << 30),
            Ok(Outcome::done())
        );
    }
    assert_eq!(volumes::find(&pool, &id(1)).unwrap().unwrap().size_bytes, 2 << 30);
    assert_eq!(
        volumes::expand(&pool, &effect(3), &volume(1), 1 << 30)
            .unwrap_err()
            .code,
        fault::UNSUPPORTED
    );
    assert_eq!(
        volumes::expand(&pool, &effect(3), &volume(2), 1 << 30)
            .unwrap_err()
            .code,
        fault::NOT_FOUND
    );
}

#[test]
fn a_page_holds_volumes_alone_and_leads_to_the_next() {
    let pool = Table::default();
    for number in 0..750 {
        volumes::create(&pool, &effect(number), &spec(number, code::SOURCE_BLANK, None)).unwrap();
    }
    let stranger = Entry {
        name: "notes.txt".to_owned(),
        ..pool.files.borrow().values().next().unwrap().clone()
    };
    pool.files.borrow_mut().insert(stranger.name.clone(), stranger);
    let first = volumes::observe(&pool, None).unwrap();
    let second = volumes::observe(&pool, first.next.as_deref()).unwrap();
    assert_eq!(
        (first.volumes.len(), second.volumes.len(), second.next),
        (500, 250, None)
    );
}

#[test]
fn the_space_is_that_of_the_directory() {
    let space = volumes::probe(&Table::default()).unwrap();
    assert_eq!((space.capacity_bytes, space.free_bytes), (100, 40));
    assert_eq!(volumes::describe().formats, [code::FORMAT_QCOW2]);
}

#[test]
fn what_a_making_that_was_cut_off_left_is_found_and_is_no_volume() {
    let pool = Table::default();
    let name = volume(1).backend_id;
    let left = Entry {
        name: name.clone(),
        format: 0,
        virtual_bytes: 0,
        allocated_bytes: 0,
        backing: None,
        owner: String::new(),
    };
    pool.files.borrow_mut().insert(name.clone(), left);
    let found = volumes::find(&pool, &id(1)).unwrap().unwrap();
    assert_eq!(
        (found.state, found.volume.backend_id.as_str()),
        (code::STATE_CREATING, name.as_str())
    );
    assert_eq!(
        volumes::publish(&pool, &volume(1)).unwrap_err().code,
        fault::NOT_FOUND
    );
    assert!(volumes::reached_by(&pool, &volume(1)).unwrap().is_none());
    volumes::create(&pool, &effect(1), &spec(1, code::SOURCE_IMAGE, None)).unwrap();
    assert_eq!(
        volumes::find(&pool, &id(1)).unwrap().unwrap().state,
        code::STATE_READY
    );
    volumes::delete(&pool, &effect(2), &volume(1)).unwrap();
    assert!(volumes::find(&pool, &id(1)).unwrap().is_none());
}
