//! What a process gives up before it touches foreign code: privileges, files, the network, other processes, and at last every
//! system call that it does not need. Each layer holds alone; together a hole in one is not a way out.
//!
//! | layer | what it takes away |
//! |---|---|
//! | no new privileges, not dumpable | set-user-id programs; being traced or read by another process of the same user |
//! | a uid of its own, where the server may give one (`plugins.first_uid`) | everything that is the server's or another plugin's |
//! | no capabilities | whatever root may, should the server run as root |
//! | user, network, IPC and UTS namespaces | other uids, every network interface, shared memory (where the kernel allows it unprivileged) |
//! | resource limits | core dumps, files, descriptors, memory beyond what its calls may have |
//! | Landlock | every file and TCP port, signals and abstract sockets of others |
//! | seccomp | opening, connecting, executing, forking, tracing; once the component is loaded, making memory executable |

use std::{collections::BTreeMap, io};

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, CompatLevel, Compatible as _, Ruleset, RulesetAttr as _, Scope,
};
use rustix::{
    process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit},
    thread::{CapabilitySet, CapabilitySets, UnshareFlags, set_capabilities, set_no_new_privs},
};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch, apply_filter_all_threads,
};

use super::uids::become_user;
use crate::{engine::LEAVING, sandbox::work::Bounds};

/// The newest version of Landlock that this build knows; older kernels give what they have.
const LANDLOCK: ABI = ABI::V6;
/// Descriptors: the socket and its copy, epoll, an event, three standard ones, and some air.
const DESCRIPTORS: u64 = 32;
/// Private writable memory of the process without any call: allocator, threads, tables of the engine.
const RESIDENT_BYTES: u64 = 96 << 20;
/// Beside its linear memory a call has a stack of 2 MiB, tables, and what crosses the sandbox, twice.
const CALL_BYTES: u64 = 24 << 20;
/// How much lower than the server's its priority is: who computes waits for who serves.
const NICE: i32 = 5;

/// What was taken away, for those who ask.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Confined {
    /// Landlock rules are in force, all that this build knows.
    pub landlock: bool,
    /// It has namespaces of its own.
    pub namespaces: bool,
}

/// Gives up everything but computing and the descriptors that are open. Called before a second thread exists.
///
/// # Errors
/// What the kernel refuses, save namespaces and newer Landlock rules, which not every system allows.
pub fn leave_the_world(uid: Option<u32>) -> io::Result<Confined> {
    let namespaces = change_user(uid)?;
    set_no_new_privs(true)?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    limit(Resource::Core, 0)?;
    limit(Resource::Fsize, 0)?;
    limit(Resource::Nofile, DESCRIPTORS)?;
    // A system that does not let it lower its own priority runs it at the server's.
    let _ = rustix::process::nice(NICE);
    close_others()?;
    let namespaces = unshare() || namespaces;
    let landlock = landlock()?;
    give_up_capabilities()?;
    Ok(Confined { landlock, namespaces })
}

/// For the compiler's process, once it has read the component and opened its output.
///
/// # Errors
/// As [`leave_the_world`]; the compiler has limits of its own.
pub fn confine_compiler(uid: Option<u32>) -> io::Result<()> {
    change_user(uid)?;
    set_no_new_privs(true)?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    unshare();
    landlock()?;
    give_up_capabilities()?;
    filter(Stage::Compiling)
}

fn limit(resource: Resource, bound: u64) -> io::Result<()> {
    let limit = Rlimit {
        current: Some(bound),
        maximum: Some(bound),
    };
    Ok(setrlimit(resource, limit)?)
}

/// Bounds the private writable memory to what the calls that may be in flight need. Reserved address space is free, so that
/// the bound is on data and not on addresses.
///
/// # Errors
/// What the kernel says.
pub fn bound_memory(bounds: &Bounds, code_bytes: usize) -> io::Result<()> {
    let call = bounds.memory_bytes.saturating_add(CALL_BYTES);
    let code = u64::try_from(code_bytes).unwrap_or(u64::MAX).saturating_mul(3);
    let bytes = call
        .saturating_mul(u64::from(bounds.calls.saturating_add(LEAVING)))
        .saturating_add(code)
        .saturating_add(RESIDENT_BYTES);
    limit(Resource::Data, bytes)
}

/// Closes what it inherited beside the three standard descriptors.
fn close_others() -> io::Result<()> {
    #[expect(unsafe_code, reason = "there is no safe face of close_range")]
    // SAFETY: nothing in this process has opened a descriptor yet: `main` calls this first.
    let closed = unsafe { libc::close_range(3, libc::c_uint::MAX, 0) };
    if closed == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Becomes another user, if it is to. Answers whether it has namespaces already: who may change uids may make them without
/// a user namespace, which the new user may not be allowed.
fn change_user(uid: Option<u32>) -> io::Result<bool> {
    let Some(uid) = uid else { return Ok(false) };
    let namespaces = separate(OF_ROOT);
    become_user(uid)?;
    Ok(namespaces)
}

/// Gives up what root, or the first user of a namespace, may.
fn give_up_capabilities() -> io::Result<()> {
    let none = CapabilitySets {
        effective: CapabilitySet::empty(),
        permitted: CapabilitySet::empty(),
        inheritable: CapabilitySet::empty(),
    };
    Ok(set_capabilities(None, none)?)
}

/// Namespaces that need no user namespace where the caller is root.
const OF_ROOT: UnshareFlags = UnshareFlags::NEWNET
    .union(UnshareFlags::NEWIPC)
    .union(UnshareFlags::NEWUTS);

/// Whether it has namespaces of its own now. A container or a hardened kernel may refuse: the other layers stand without.
fn unshare() -> bool {
    separate(OF_ROOT.union(UnshareFlags::NEWUSER))
}

fn separate(namespaces: UnshareFlags) -> bool {
    #[expect(
        unsafe_code,
        reason = "the safe face of unshare is deprecated for what it may do to descriptors"
    )]
    // SAFETY: no flag that touches descriptors or the file system's state of other threads is passed; there are none.
    unsafe { rustix::thread::unshare_unsafe(namespaces) }.is_ok()
}

fn landlock() -> io::Result<bool> {
    let status = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(LANDLOCK))
        .and_then(|rules| rules.handle_access(AccessNet::from_all(LANDLOCK)))
        .and_then(|rules| rules.scope(Scope::from_all(LANDLOCK)))
        .and_then(Ruleset::create)
        .and_then(landlock::RulesetCreated::restrict_self)
        .map_err(io::Error::other)?;
    Ok(status.ruleset == landlock::RulesetStatus::FullyEnforced)
}

/// When a filter is put on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// A compiler with what it needs open: what it may not do fails.
    Compiling,
    /// A plugin's process before it has its component: it may still make code of it, and put on the next filter. Nothing of the
    /// component runs yet: what it may not do fails.
    Loading,
    /// A plugin's process that serves: whatever it may not do ends it.
    Serving,
}

/// What computing, waiting and talking over open descriptors needs.
const SERVING: &[libc::c_long] = &[
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_readv,
    libc::SYS_writev,
    libc::SYS_recvfrom,
    libc::SYS_sendto,
    libc::SYS_recvmsg,
    libc::SYS_sendmsg,
    libc::SYS_shutdown,
    libc::SYS_close,
    libc::SYS_epoll_wait,
    libc::SYS_epoll_pwait,
    libc::SYS_epoll_ctl,
    libc::SYS_futex,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_brk,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_sched_yield,
    libc::SYS_getrandom,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_restart_syscall,
    libc::SYS_gettid,
    libc::SYS_getpid,
    libc::SYS_exit,
    libc::SYS_exit_group,
];

/// What loading needs beside it.
const LOADING: &[libc::c_long] = &[
    libc::SYS_mmap,
    libc::SYS_mprotect,
    libc::SYS_prlimit64,
    libc::SYS_setrlimit,
    libc::SYS_seccomp,
    libc::SYS_membarrier,
];

/// What a compiler needs beside both: threads, their number, and its output.
const COMPILING: &[libc::c_long] = &[
    libc::SYS_clone,
    libc::SYS_clone3,
    libc::SYS_set_robust_list,
    libc::SYS_rseq,
    libc::SYS_sched_getaffinity,
    libc::SYS_fstat,
    libc::SYS_lseek,
    libc::SYS_fsync,
];

/// Puts a filter on all threads.
///
/// # Errors
/// What the kernel refuses.
pub fn filter(stage: Stage) -> io::Result<()> {
    let allowed = SERVING.iter().copied();
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = allowed.map(|call| (call, Vec::new())).collect();
    // With debug assertions the standard library asks this before it closes a descriptor.
    rules.insert(libc::SYS_fcntl, vec![argument_is(1, libc::F_GETFD)?]);
    if stage == Stage::Serving {
        for call in [libc::SYS_mmap, libc::SYS_mprotect] {
            rules.insert(call, vec![no_code()?]);
        }
    } else {
        rules.extend(LOADING.iter().map(|call| (*call, Vec::new())));
        // Before it puts a filter on, seccompiler makes sure of what is so already.
        rules.insert(libc::SYS_prctl, vec![argument_is(0, libc::PR_SET_NO_NEW_PRIVS)?]);
    }
    if stage == Stage::Compiling {
        rules.extend(COMPILING.iter().map(|call| (*call, Vec::new())));
    }
    let otherwise = match stage {
        // Libraries ask for things that they can do without, such as the number of cores.
        Stage::Compiling | Stage::Loading => SeccompAction::Errno(libc::EPERM.unsigned_abs()),
        Stage::Serving => SeccompAction::KillProcess,
    };
    let program: BpfProgram = SeccompFilter::new(rules, otherwise, SeccompAction::Allow, architecture()?)
        .and_then(TryInto::try_into)
        .map_err(io::Error::other)?;
    apply_filter_all_threads(&program).map_err(io::Error::other)
}

/// The third argument, the protection, has no execution in it.
fn no_code() -> io::Result<SeccompRule> {
    let mask = u64::from(libc::PROT_EXEC.unsigned_abs());
    SeccompCondition::new(2, SeccompCmpArgLen::Qword, SeccompCmpOp::MaskedEq(mask), 0)
        .and_then(|condition| SeccompRule::new(vec![condition]))
        .map_err(io::Error::other)
}

/// An argument, counted from 0, is this.
fn argument_is(argument: u8, value: libc::c_int) -> io::Result<SeccompRule> {
    let value = u64::from(value.unsigned_abs());
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value)
        .and_then(|condition| SeccompRule::new(vec![condition]))
        .map_err(io::Error::other)
}

fn architecture() -> io::Result<TargetArch> {
    std::env::consts::ARCH
        .try_into()
        .map_err(|_| io::Error::other("there is no filter of system calls for this architecture"))
}

#[cfg(test)]
mod tests {
    use std::{
        env, fs,
        net::{TcpListener, TcpStream, UdpSocket},
        os::unix::{net::UnixStream, process::ExitStatusExt as _},
        process::{Command, ExitStatus},
    };

    use super::*;

    /// Names the attempt in the process that makes it.
    const ATTEMPT: &str = "VELUM_TEST_ATTEMPT";
    /// What an attempt that worked exits with.
    const ESCAPED: i32 = 42;
    /// What an attempt exits with that was refused and lives on.
    const REFUSED: i32 = 43;

    /// A name, and what answers whether it worked.
    type Attempt = (&'static str, fn() -> bool);

    fn attempts() -> [Attempt; 11] {
        [
            ("read a file", || fs::read("/etc/hostname").is_ok()),
            ("write a file", || fs::write("/tmp/velum-escape", "x").is_ok()),
            ("list a directory", || fs::read_dir("/").is_ok()),
            ("listen", || TcpListener::bind("127.0.0.1:0").is_ok()),
            ("connect", || TcpStream::connect("127.0.0.1:9").is_ok()),
            ("send a datagram", || UdpSocket::bind("127.0.0.1:0").is_ok()),
            ("reach a socket", || {
                UnixStream::connect("/run/dbus/system_bus_socket").is_ok()
            }),
            ("start a program", || Command::new("/bin/true").status().is_ok()),
            ("start a thread", || {
                std::thread::Builder::new().spawn(|| ()).is_ok()
            }),
            ("end another process", || {
                rustix::process::kill_process(parent(), rustix::process::Signal::CONT).is_ok()
            }),
            ("make code", make_code),
        ]
    }

    fn parent() -> rustix::process::Pid {
        rustix::process::getppid().unwrap_or(rustix::process::Pid::INIT)
    }

    fn make_code() -> bool {
        #[expect(unsafe_code, reason = "what a subverted component would try")]
        // SAFETY: a fresh anonymous mapping that nobody uses.
        let page = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                4096,
                libc::PROT_READ | libc::PROT_EXEC,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        page != libc::MAP_FAILED
    }

    /// Runs the attempt of that name in a process of its own.
    fn outcome(attempt: &str) -> ExitStatus {
        Command::new(env::current_exe().unwrap())
            .args([
                "--exact",
                "process::confine::tests::attempt",
                "--nocapture",
                "--test-threads=1",
            ])
            .env(ATTEMPT, attempt)
            .output()
            .unwrap()
            .status
    }

    /// Does nothing by itself: what the other tests run in a process of its own.
    #[test]
    fn attempt() {
        let Ok(name) = env::var(ATTEMPT) else { return };
        let (free, name) = match name.strip_prefix("free: ") {
            Some(name) => (true, name.to_owned()),
            None => (false, name),
        };
        let (_, attempt) = attempts().into_iter().find(|(known, _)| *known == name).unwrap();
        if !free {
            leave_the_world(None).unwrap();
            filter(Stage::Loading).unwrap();
            filter(Stage::Serving).unwrap();
        }
        let worked = attempt();
        rustix_exit(if worked { ESCAPED } else { REFUSED });
    }

    fn rustix_exit(code: i32) -> ! {
        // Without destructors: the harness would write its report to what is closed.
        #[expect(unsafe_code, reason = "there is no safe face of _exit")]
        // SAFETY: it does not return.
        unsafe {
            libc::_exit(code)
        }
    }

    #[test]
    fn what_is_confined_can_compute_and_nothing_else() {
        for (name, _) in attempts() {
            let status = outcome(name);
            assert_eq!(status.signal(), Some(libc::SIGSYS), "{name}: {status}");
        }
    }

    #[test]
    fn the_same_attempts_work_where_nothing_is_confined() {
        // What fails for another reason would prove nothing above.
        for name in [
            "read a file",
            "list a directory",
            "listen",
            "send a datagram",
            "start a program",
            "start a thread",
            "end another process",
            "make code",
        ] {
            assert_eq!(outcome(&format!("free: {name}")).code(), Some(ESCAPED), "{name}");
        }
    }
}
