//! ClickHouse inside a library: loads `libchdb.so` and hands it a command line.
//!
//! Always in a process of its own: the library takes signal handlers, threads and memory limits as if it were alone.
#![allow(unsafe_code, reason = "a C library can only be called so")]

use std::ffi::{CStr, CString, OsString, c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW, Symbol};

type QueryCmdline = unsafe extern "C" fn(c_int, *mut *mut c_char) -> *mut c_void;
type ResultError = unsafe extern "C" fn(*mut c_void) -> *const c_char;

/// Why the library did not run, or what it said at its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EmbeddedError {
    #[error("cannot load the library: {0}")]
    Load(#[from] libloading::Error),
    #[error("an argument holds a zero byte")]
    ZeroByte,
    #[error("{0}")]
    Server(String),
}

/// Runs ClickHouse with these arguments until its last query ends.
pub(crate) fn run(library: &Path, args: &[OsString]) -> Result<(), EmbeddedError> {
    let words = std::iter::once(OsString::from("clickhouse"))
        .chain(args.iter().cloned())
        .map(|word| CString::new(word.as_bytes()))
        .collect::<Result<Vec<CString>, _>>()
        .map_err(|_| EmbeddedError::ZeroByte)?;
    let count = c_int::try_from(words.len()).map_err(|_| EmbeddedError::ZeroByte)?;
    // As C's `argv` does: the words belong to the callee for the rest of the process, and a null pointer ends them.
    let mut argv: Vec<*mut c_char> = words.into_iter().map(CString::into_raw).collect();
    argv.push(std::ptr::null_mut());

    // SAFETY: the path is the pinned library (its checksum was compared when it was fetched); its initialisers expect a
    // process of their own, which this is.
    let library = unsafe { Library::open(Some(library), RTLD_NOW | RTLD_LOCAL)? };
    // Never unloaded: threads of the library may still run its code when the query has ended.
    let library = std::mem::ManuallyDrop::new(library);
    // SAFETY: both names are exported by this version with exactly these C types.
    let (query, error): (Symbol<QueryCmdline>, Symbol<ResultError>) = unsafe {
        (
            library.get(b"chdb_query_cmdline\0")?,
            library.get(b"chdb_result_error\0")?,
        )
    };
    // SAFETY: `argv` holds `count` strings with their end marks and a final null; all live until the process ends.
    let result = unsafe { query(count, argv.as_mut_ptr()) };
    let message = if result.is_null() {
        "the library gave no result".to_owned()
    } else {
        // SAFETY: `result` is what the call above gave and was not destroyed.
        let text = unsafe { error(result) };
        if text.is_null() {
            return Ok(());
        }
        // SAFETY: the library gives a string with its end mark that lives as long as `result`.
        unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
    };
    Err(EmbeddedError::Server(message))
}

/// Ends this process without the library's exit handlers: they take apart what its last threads still use, and now and
/// then end in a crash. The server has written and closed everything by the time its last query returns.
pub(crate) fn leave(status: u8) -> ! {
    // SAFETY: `_exit` takes a number, runs no handlers and does not return.
    unsafe { libc::_exit(c_int::from(status)) }
}
