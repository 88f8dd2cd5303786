use super::*;

const FILE: &str = "/d/v.db-wal";

fn path() -> PathBuf {
    FILE.into()
}

/// A disk, and the calls that it sees.
#[derive(Default)]
struct Calls {
    disk: Disk,
    number: u64,
}

impl Calls {
    fn on(bytes: &[u8]) -> Self {
        Self {
            disk: Disk::with([(path(), bytes.to_vec())].into()),
            number: 0,
        }
    }

    fn begin(&mut self, call: Call) -> u64 {
        self.number += 1;
        self.event(self.number, Phase::Begins(call));
        self.number
    }

    fn end(&mut self, call: u64, answer: u64) {
        self.event(call, Phase::Ends(Some(answer)));
    }

    fn event(&mut self, call: u64, phase: Phase) {
        let event = Event { at: 0, call, phase };
        self.disk.apply(&event).expect("it can happen");
    }

    fn does(&mut self, call: Call, answer: u64) {
        let call = self.begin(call);
        self.end(call, answer);
    }

    fn write(&mut self, offset: u64, data: &[u8]) {
        self.does(write(offset, data), data.len() as u64);
    }

    fn sync(&mut self, path: &str) {
        self.does(Call::Sync { path: path.into() }, 0);
    }

    fn left(&self, arrival: Arrival) -> Option<Vec<u8>> {
        let left = self.disk.cut(&mut Chance(1), |_| arrival);
        left.files.get(&path()).cloned()
    }
}

fn write(offset: u64, data: &[u8]) -> Call {
    Call::Write {
        path: path(),
        offset,
        data: data.into(),
    }
}

#[test]
fn only_what_was_synced_is_certain() {
    let mut calls = Calls::on(b"aaaa");
    calls.write(0, b"bb");
    assert_eq!(calls.left(Arrival::Nothing).as_deref(), Some(&b"aaaa"[..]));
    assert_eq!(calls.left(Arrival::Everything).as_deref(), Some(&b"bbaa"[..]));
    calls.sync(FILE);
    calls.write(2, b"cccc");
    assert_eq!(calls.left(Arrival::Nothing).as_deref(), Some(&b"bbaa"[..]));
    assert_eq!(calls.left(Arrival::Everything).as_deref(), Some(&b"bbcccc"[..]));
}

#[test]
fn a_sync_does_not_speak_for_what_was_written_meanwhile() {
    let mut calls = Calls::on(b"aaaa");
    let early = calls.begin(write(0, b"b"));
    let sync = calls.begin(Call::Sync { path: path() });
    calls.end(early, 1);
    calls.write(3, b"d");
    calls.end(sync, 0);
    assert_eq!(calls.left(Arrival::Nothing).as_deref(), Some(&b"aaaa"[..]));
    assert!(calls.disk.is_uncertain(&path()));
    calls.sync(FILE);
    assert_eq!(calls.left(Arrival::Nothing).as_deref(), Some(&b"baad"[..]));
    assert!(!calls.disk.is_uncertain(&path()));
}

#[test]
fn a_sync_that_fails_makes_nothing_certain() {
    let mut calls = Calls::on(b"aaaa");
    calls.write(0, b"b");
    let sync = calls.begin(Call::Sync { path: path() });
    calls.event(sync, Phase::Ends(None));
    assert_eq!(calls.left(Arrival::Nothing).as_deref(), Some(&b"aaaa"[..]));
}

#[test]
fn a_new_file_is_there_for_certain_once_its_directory_was_synced() {
    let mut calls = Calls::default();
    calls.does(
        Call::Create {
            path: path(),
            truncates: false,
        },
        3,
    );
    calls.write(0, b"bb");
    calls.sync(FILE);
    assert_eq!(calls.left(Arrival::Nothing), None);
    assert_eq!(calls.left(Arrival::Everything).as_deref(), Some(&b"bb"[..]));
    calls.sync("/d");
    assert_eq!(calls.left(Arrival::Nothing).as_deref(), Some(&b"bb"[..]));
    calls.does(Call::Remove { path: path() }, 0);
    assert_eq!(calls.left(Arrival::Everything), None);
    assert_eq!(calls.left(Arrival::Nothing).as_deref(), Some(&b"bb"[..]));
}

#[test]
fn a_file_under_an_old_name_is_another_file() {
    let mut calls = Calls::on(b"old");
    calls.does(Call::Remove { path: path() }, 0);
    let create = Call::Create {
        path: path(),
        truncates: false,
    };
    calls.does(create, 3);
    calls.write(0, b"new");
    calls.sync(FILE);
    assert_eq!(calls.left(Arrival::Nothing).as_deref(), Some(&b"old"[..]));
    assert_eq!(calls.left(Arrival::Everything).as_deref(), Some(&b"new"[..]));
}

#[test]
fn a_length_is_uncertain_too() {
    let mut calls = Calls::on(b"aaaa");
    calls.does(
        Call::Resize {
            path: path(),
            bytes: 1,
        },
        0,
    );
    assert_eq!(calls.left(Arrival::Nothing).as_deref(), Some(&b"aaaa"[..]));
    assert_eq!(calls.left(Arrival::Everything).as_deref(), Some(&b"a"[..]));
    calls.write(2, b"c");
    assert_eq!(calls.left(Arrival::Everything).as_deref(), Some(&b"a\0c"[..]));
    calls.sync(FILE);
    assert_eq!(calls.left(Arrival::Nothing).as_deref(), Some(&b"a\0c"[..]));
}

#[test]
fn what_comes_behind_is_behind_what_was_there() {
    let mut calls = Calls::on(b"aa");
    for data in [b"b", b"c"] {
        let append = Call::Append {
            path: path(),
            data: data.as_slice().into(),
        };
        calls.does(append, 1);
    }
    assert_eq!(calls.left(Arrival::Everything).as_deref(), Some(&b"aabc"[..]));
}

#[test]
fn a_disk_that_lies_never_had_the_write() {
    let mut calls = Calls::on(b"aaaa");
    calls.disk.lie_about(1);
    calls.write(0, b"b");
    calls.write(1, b"c");
    calls.sync(FILE);
    assert_eq!(calls.left(Arrival::Everything).as_deref(), Some(&b"acaa"[..]));
}

#[test]
fn what_is_written_before_a_file_is_made_was_missed() {
    let mut disk = Disk::default();
    let event = Event {
        at: 0,
        call: 1,
        phase: Phase::Begins(write(0, b"b")),
    };
    assert!(disk.apply(&event).is_err());
}

/// Every sector of a cut is one that was there at some time, and over many cuts every combination comes about.
#[test]
fn sectors_arrive_each_on_its_own() {
    let mut calls = Calls::on(&[0; 2 * SECTOR as usize]);
    calls.write(0, &[1; 2 * SECTOR as usize]);
    calls.write(SECTOR, &[2; SECTOR as usize]);
    let mut chance = Chance(7);
    let (mut seen, mut torn, mut dropped) = (HashSet::new(), 0, 0);
    for _ in 0..200 {
        let left = calls.disk.cut(&mut chance, |_| Arrival::Sectors);
        assert_eq!(left.uncertain, 2);
        torn += left.torn;
        dropped += left.dropped;
        let bytes = left.files.get(&path()).expect("it is there");
        let sectors: Vec<u8> = bytes
            .chunks(SECTOR as usize)
            .map(|sector| {
                let first = sector.first().copied().expect("a sector has bytes");
                assert!(
                    sector.iter().all(|byte| *byte == first),
                    "a sector is one write's"
                );
                first
            })
            .collect();
        seen.insert(sectors);
    }
    let combinations = [[0, 0], [0, 1], [0, 2], [1, 0], [1, 1], [1, 2]];
    assert_eq!(seen, combinations.map(|c| c.to_vec()).into());
    assert!(torn > 0 && dropped > 0);
}

#[test]
fn what_came_first_or_last_is_there_alone() {
    let mut calls = Calls::on(&[]);
    for n in 0..4_u8 {
        calls.write(u64::from(n) * SECTOR, &[n + 1; SECTOR as usize]);
    }
    let mut chance = Chance(3);
    for _ in 0..50 {
        let left = calls.disk.cut(&mut chance, |_| Arrival::Newest);
        let bytes = left.files.get(&path()).expect("it is there");
        assert_eq!(bytes.len(), 4 * SECTOR as usize, "the length arrived");
        let has: Vec<bool> = bytes
            .chunks(SECTOR as usize)
            .map(|sector| sector[0] != 0)
            .collect();
        assert!(has.is_sorted(), "an older one is there: {has:?}");
        let left = calls.disk.cut(&mut chance, |_| Arrival::Oldest);
        let bytes = left.files.get(&path()).expect("it is there");
        let has: Vec<bool> = bytes
            .chunks(SECTOR as usize)
            .map(|sector| sector[0] == 0)
            .collect();
        assert!(has.is_sorted(), "a newer one is there: {has:?}");
    }
}

/// What is garbage is only where something was written.
#[test]
fn garbage_stays_where_was_written() {
    let mut calls = Calls::on(&[9; 100]);
    calls.write(10, &[1; 20]);
    let (mut chance, mut garbled) = (Chance(5), 0);
    for _ in 0..100 {
        let left = calls.disk.cut(&mut chance, |_| Arrival::Garbled);
        let bytes = left.files.get(&path()).expect("it is there");
        assert!(bytes[..10].iter().chain(&bytes[30..]).all(|byte| *byte == 9));
        garbled += usize::from(bytes[10..30].iter().any(|byte| ![1, 9].contains(byte)));
    }
    assert!(garbled > 0);
}

#[test]
fn without_a_cut_the_files_are_what_was_written() {
    let mut calls = Calls::on(b"aaaa");
    calls.write(1, b"bb");
    calls.begin(write(3, b"cc"));
    assert_eq!(
        calls.disk.files(false).get(&path()).map(Vec::as_slice),
        Some(&b"abba"[..])
    );
    assert_eq!(
        calls.disk.files(true).get(&path()).map(Vec::as_slice),
        Some(&b"abbcc"[..])
    );
}
