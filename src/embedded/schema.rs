//! The file: how it is made, recognised and opened. Knows nothing of items.
//!
//! One table, `items`, keyed by partition and sort key as UTF-8 text in SQLite's default BINARY collation, which
//! compares bytes: the order that the port asks for. `PRAGMA application_id` says that a file is ours and
//! `PRAGMA user_version` which layout it has, so that an older program refuses a newer file instead of damaging it.

use std::fs::OpenOptions;
use std::io;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use crate::ports::StoreError;

/// "PLIM" in ASCII: what `file(1)` and we recognise the file by.
const APPLICATION_ID: i64 = 0x504C_494D;

/// The layout this version writes and reads. Raise it with every change of `LAYOUT`, and read the older ones.
const SCHEMA_VERSION: i64 = 1;

const LAYOUT: &str = "
CREATE TABLE items (
    partition  TEXT    NOT NULL,
    sort       TEXT    NOT NULL,
    version    INTEGER NOT NULL,
    body       TEXT    NOT NULL,
    expires_at INTEGER,
    PRIMARY KEY (partition, sort)
) STRICT;
CREATE INDEX items_by_expiry ON items (expires_at) WHERE expires_at IS NOT NULL;
";

/// How long a writer waits for another process's write. Writes take milliseconds; a machine that stalls for longer
/// than this has trouble that the caller should hear of.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// Opens the store at `path`, which must exist.
pub(super) fn open(path: &Path, store: &str) -> Result<Connection, StoreError> {
    if !path.is_file() {
        return Err(missing(store, "there is no such file; `plimsoll store init` makes it".to_owned()));
    }
    // Without SQLITE_OPEN_CREATE: a typing mistake must not become an empty store.
    let connection = connect(path).map_err(|error| failed(store, &error))?;
    recognise(&connection, store)?;
    Ok(connection)
}

/// Makes the store at `path` unless it is there already, and opens it.
pub(super) fn create(path: &Path, store: &str) -> Result<Connection, StoreError> {
    make_private_file(path).map_err(|error| not_made(store, &error))?;
    let mut connection = connect(path).map_err(|error| failed(store, &error))?;
    // Kept in the file: `open` need not set it. It cannot change inside a transaction.
    connection.pragma_update(None, "journal_mode", "WAL").map_err(|error| failed(store, &error))?;
    lay_out(&mut connection, store)?;
    recognise(&connection, store)?;
    Ok(connection)
}

/// A store that lives and dies with this value.
pub(super) fn in_memory(store: &str) -> Result<Connection, StoreError> {
    let mut connection = Connection::open_in_memory().map_err(|error| failed(store, &error))?;
    lay_out(&mut connection, store)?;
    Ok(connection)
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    // FULL: the log is on the disk before a write is acknowledged; NORMAL would lose the last ones in a power cut.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "trusted_schema", false)?;
    // In KiB, instead of 2,000: the system keeps the file's pages in memory anyway, and a second copy saves microseconds.
    connection.pragma_update(None, "cache_size", -256)?;
    Ok(connection)
}

/// Lays the tables out in a file that is still empty. Anything else is left as it is.
fn lay_out(connection: &mut Connection, store: &str) -> Result<(), StoreError> {
    let in_words = |error: rusqlite::Error| failed(store, &error);
    // IMMEDIATE: of two processes that start at once, the second sees what the first has made.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(in_words)?;
    let tables: i64 =
        transaction.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(in_words)?;
    if tables == 0 {
        transaction.execute_batch(LAYOUT).map_err(in_words)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID).map_err(in_words)?;
        transaction.pragma_update(None, "user_version", SCHEMA_VERSION).map_err(in_words)?;
    }
    transaction.commit().map_err(in_words)
}

fn recognise(connection: &Connection, store: &str) -> Result<(), StoreError> {
    let read = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let application = read("application_id").map_err(|error| failed(store, &error))?;
    if application != APPLICATION_ID {
        return Err(missing(store, "the file is not a store of plimsoll".to_owned()));
    }
    let version = read("user_version").map_err(|error| failed(store, &error))?;
    if version != SCHEMA_VERSION {
        let message = format!("its layout is version {version}, and this plimsoll knows version {SCHEMA_VERSION}");
        return Err(missing(store, message));
    }
    Ok(())
}

/// Makes an empty file that only its owner may read: it will hold documents with secrets in them. SQLite gives the
/// log beside it the same mode.
fn make_private_file(path: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other.map(drop),
    }
}

fn not_made(store: &str, error: &io::Error) -> StoreError {
    let message = format!("the file cannot be made: {error}");
    match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            StoreError::Denied { store: store.to_owned(), message }
        }
        _ => missing(store, message),
    }
}

fn missing(store: &str, message: String) -> StoreError {
    StoreError::Missing { store: store.to_owned(), message }
}

/// What SQLite's error means to whoever asked.
pub(super) fn failed(store: &str, error: &rusqlite::Error) -> StoreError {
    let (store, message) = (store.to_owned(), error.to_string());
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => {
            StoreError::Missing { store, message: "the file is not a store of plimsoll".to_owned() }
        }
        Some(ErrorCode::DatabaseCorrupt) => StoreError::Damaged { store, message },
        Some(ErrorCode::CannotOpen) => StoreError::Missing { store, message },
        Some(ErrorCode::PermissionDenied | ErrorCode::ReadOnly | ErrorCode::AuthorizationForStatementDenied) => {
            StoreError::Denied { store, message }
        }
        _ => StoreError::Unavailable { store, message },
    }
}
