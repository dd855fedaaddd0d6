//! Secrets that an administrator gives to a command: from a private file, or typed without being shown.
#![expect(unsafe_code, reason = "the terminal's echo has no interface in std")]

use std::io::{BufRead as _, IsTerminal as _, Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};

use kms::root::{Secret, read_secret};
use zeroize::Zeroizing;

use crate::CofferError;

/// Names a private file with the passphrase or PIN that opens the root key, for commands without a terminal.
pub(crate) const VARIABLE: &str = "COFFER_PASSPHRASE_FILE";
const BYTES_MAX: u64 = 4096;

/// The secret in `file`, or in the file that the environment names, or typed.
pub(crate) fn obtain(file: Option<&Path>, prompt: &str) -> Result<Secret, CofferError> {
    let named = std::env::var_os(VARIABLE).map(PathBuf::from);
    match file.map(Path::to_owned).or(named) {
        Some(file) => read_secret(&file).map_err(CofferError::stopped),
        None => typed(prompt),
    }
}

fn typed(prompt: &str) -> Result<Secret, CofferError> {
    let input = std::io::stdin();
    if !input.is_terminal() {
        return Err(CofferError::Stopped(format!(
            "{prompt}: there is no terminal to ask on; name a private file that holds it, with --passphrase-file or {VARIABLE}"
        )));
    }
    eprint!("{prompt}: ");
    let _ = std::io::stderr().flush();
    let quiet = Quiet::begin(input.as_raw_fd())?;
    // Room enough, so that nothing of it is left behind where it grew.
    let mut line = Zeroizing::new(String::with_capacity(usize::try_from(BYTES_MAX).unwrap_or(0)));
    let read = input.lock().take(BYTES_MAX).read_line(&mut line);
    drop(quiet);
    eprintln!();
    read.map_err(CofferError::stopped)?;
    let secret = Zeroizing::new(line.trim_end_matches(['\r', '\n']).to_owned());
    if secret.is_empty() { Err(CofferError::stopped("nothing was given")) } else { Ok(secret) }
}

/// A terminal that does not show what is typed, until this goes.
struct Quiet {
    terminal: i32,
    before: libc::termios,
}

impl Quiet {
    fn begin(terminal: i32) -> Result<Self, CofferError> {
        let failed = || CofferError::stopped(std::io::Error::last_os_error());
        let mut before = std::mem::MaybeUninit::<libc::termios>::uninit();
        // SAFETY: the pointer is to room for a termios, which tcgetattr fills when it succeeds.
        if unsafe { libc::tcgetattr(terminal, before.as_mut_ptr()) } != 0 {
            return Err(failed());
        }
        // SAFETY: filled by the call above.
        let before = unsafe { before.assume_init() };
        let mut quiet = before;
        quiet.c_lflag &= !libc::ECHO;
        // SAFETY: the pointer is to a live termios, which tcsetattr only reads.
        if unsafe { libc::tcsetattr(terminal, libc::TCSAFLUSH, &raw const quiet) } != 0 {
            return Err(failed());
        }
        Ok(Self { terminal, before })
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        // SAFETY: the pointer is to a live termios, which tcsetattr only reads. A terminal that has gone needs no echo.
        unsafe {
            libc::tcsetattr(self.terminal, libc::TCSAFLUSH, &raw const self.before);
        }
    }
}
