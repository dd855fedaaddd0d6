//! Records every change that a thread, and the threads that it starts, make to files below a directory.
//!
//! A seccomp filter hands each system call that can change a file to a thread of ours, which makes the call in the
//! caller's stead (they share memory and descriptors) and notes it (seccomp_unotify(2)). So no call is missed, whichever
//! library makes it, and their order is the true one. Calls on other files go their own way.
#![expect(unsafe_code, reason = "system calls are taken over from threads of this process, with their pointers")]

use std::{
    collections::HashMap,
    fs, io,
    mem::{offset_of, zeroed},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, mpsc},
    thread,
};

use crate::{
    calls,
    log::{Data, Event, Node, Note, ROOT},
};

/// What was recorded so far.
pub(crate) struct Recording {
    pub(crate) root: PathBuf,
    nodes: HashMap<PathBuf, Node>,
    next: Node,
    pub(crate) events: Vec<Event>,
}

/// Where the workload leaves its notes.
#[derive(Clone)]
pub(crate) struct Notes(Arc<Mutex<Recording>>);

impl Notes {
    /// Notes something after everything that has happened to files until now.
    pub(crate) fn add(&self, note: Note) {
        self.0.lock().unwrap().events.push(Event::Note(note));
    }
}

impl Recording {
    /// Begins with what lies in `root`, all of it durable.
    fn begin(root: &Path) -> Self {
        let nodes = HashMap::from([(root.to_owned(), ROOT)]);
        let mut recording = Self { root: root.to_owned(), nodes, next: ROOT + 1, events: Vec::new() };
        recording.take_in(root);
        recording
    }

    fn take_in(&mut self, dir: &Path) {
        for entry in fs::read_dir(dir).unwrap().map(|entry| entry.unwrap()) {
            let (path, directory) = (entry.path(), entry.file_type().unwrap().is_dir());
            self.made(&path, directory);
            if directory {
                self.take_in(&path);
                continue;
            }
            let (file, bytes) = (self.nodes[&path], fs::read(&path).unwrap());
            self.events.push(Event::SetLength { file, length: bytes.len() as u64 });
            for (at, page) in (0..).step_by(4096).zip(bytes.chunks(4096)) {
                if page.iter().any(|byte| *byte != 0) {
                    self.events.push(Event::Write { file, at, bytes: Data(page.into()) });
                }
            }
            self.events.push(Event::SyncFile { file });
        }
        self.events.push(Event::SyncDirectory { directory: self.nodes[dir] });
    }

    pub(crate) fn node(&self, path: &Path) -> Option<Node> {
        self.nodes.get(path).copied()
    }

    fn place(&self, path: &Path) -> (Node, String) {
        let directory = self.nodes[path.parent().unwrap()];
        (directory, path.file_name().unwrap().to_str().unwrap().to_owned())
    }

    /// A file or directory was made.
    pub(crate) fn made(&mut self, path: &Path, directory: bool) {
        let node = self.next;
        self.next += 1;
        self.events.push(Event::New { node, directory });
        self.bind(path, node);
    }

    fn bind(&mut self, path: &Path, node: Node) {
        let (directory, name) = self.place(path);
        self.events.push(Event::Bind { directory, name, node });
        self.nodes.insert(path.to_owned(), node);
    }

    /// A name was removed.
    pub(crate) fn removed(&mut self, path: &Path) {
        let (directory, name) = self.place(path);
        self.events.push(Event::Unbind { directory, name });
        self.nodes.remove(path);
    }

    /// A file got another name.
    pub(crate) fn renamed(&mut self, from: &Path, to: &Path) {
        let node = self.nodes[from];
        self.bind(to, node);
        self.removed(from);
    }
}

/// Runs `work` on a thread of its own, with every change to files below `root` recorded, until all threads that it started
/// are gone. `begin` is noted first.
pub(crate) fn record(root: &Path, begin: Note, work: impl FnOnce(Notes) + Send + 'static) -> Vec<Event> {
    let mut recording = Recording::begin(root);
    recording.events.push(Event::Note(begin));
    let recording = Arc::new(Mutex::new(recording));
    let notes = Notes(recording.clone());
    let (ready, listener) = mpsc::channel();
    let worker = thread::spawn(move || {
        ready.send(install()).unwrap();
        work(notes);
    });
    let listener = listener.recv().unwrap().expect("the kernel hands system calls to a thread (seccomp_unotify(2))");
    serve(listener, &recording);
    worker.join().expect("the workload came to its end");
    std::mem::take(&mut recording.lock().unwrap().events)
}

/// Hands the calls of this thread, and of those that it starts, to whoever has the descriptor that is returned.
fn install() -> io::Result<i32> {
    let statement = |code: u32, k: u32| libc::sock_filter { code: code.try_into().unwrap(), jt: 0, jf: 0, k };
    let number = u32::try_from(offset_of!(libc::seccomp_data, nr)).unwrap();
    let mut program = vec![statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, number)];
    for call in calls::WATCHED {
        let equal = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
        let code = equal.try_into().unwrap();
        program.push(libc::sock_filter { code, jt: 0, jf: 1, k: (*call).try_into().unwrap() });
        program.push(statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_USER_NOTIF));
    }
    program.push(statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW));
    let filter = libc::sock_fprog { len: program.len().try_into().unwrap(), filter: program.as_mut_ptr() };
    // SAFETY: numbers, and a program that outlives the call. Both calls are for this thread only.
    let listener = unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        let flags = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER;
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const filter)
    };
    i32::try_from(listener).ok().filter(|listener| *listener >= 0).ok_or_else(io::Error::last_os_error)
}

/// Answers calls until the last thread that makes them is gone.
fn serve(listener: i32, recording: &Mutex<Recording>) {
    loop {
        let mut wait = libc::pollfd { fd: listener, events: libc::POLLIN, revents: 0 };
        // SAFETY: `wait` is one descriptor to wait for.
        unsafe { libc::poll(&raw mut wait, 1, -1) };
        if wait.revents & libc::POLLIN == 0 {
            assert!(wait.revents & libc::POLLHUP != 0 || wait.revents == 0, "the listener broke: {}", wait.revents);
            if wait.revents != 0 {
                break;
            }
            continue;
        }
        // SAFETY: zeros are a valid value, and the one that the kernel wants to see.
        let mut call: libc::seccomp_notif = unsafe { zeroed() };
        // SAFETY: the kernel writes one notification to `call`.
        if unsafe { libc::ioctl(listener, libc::SECCOMP_IOCTL_NOTIF_RECV, &raw mut call) } != 0 {
            // The caller has gone meanwhile.
            continue;
        }
        // SAFETY: zeros are a valid value.
        let mut answer: libc::seccomp_notif_resp = unsafe { zeroed() };
        answer.id = call.id;
        // Whoever waits for the answer must get it, or the test hangs instead of failing.
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            calls::take_over(&mut recording.lock().unwrap_or_else(|poisoned| poisoned.into_inner()), &call.data)
        }));
        match done {
            Ok(Some(Ok(value))) => answer.val = value,
            Ok(Some(Err(errno))) => answer.error = -errno,
            Ok(None) => answer.flags = u32::try_from(libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE).unwrap(),
            Err(_) => answer.error = -libc::EIO,
        }
        // SAFETY: the kernel reads one answer. An error of it means that the caller has gone.
        unsafe { libc::ioctl(listener, libc::SECCOMP_IOCTL_NOTIF_SEND, &raw mut answer) };
    }
    // SAFETY: the descriptor is ours and used no more.
    unsafe { libc::close(listener) };
}
