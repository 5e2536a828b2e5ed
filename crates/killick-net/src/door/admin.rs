//! The door for the operator: a UNIX socket that only the gateway's own user can reach.

use std::fs::{self, DirBuilder, File, Permissions, TryLockError};
use std::future::Future;
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use killick_gate::ports::Stream;
use tokio::net::{UnixListener, UnixStream};

use super::{DoorError, Entrance, is_of_one_connection, serve};

/// Connections that the operator's door holds open.
pub const ADMIN_CONNECTIONS_MAX: usize = 64;

const SOCKET_MODE: u32 = 0o600;
const FOLDER_MODE: u32 = 0o700;
const OTHERS_MODE_MASK: u32 = 0o077;

/// Who is at the other end, by the kernel's word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdminPeer {
    /// The user id it runs under.
    pub uid: u32,
    /// The group id it runs under.
    pub gid: u32,
    /// Its process id when it connected, where the system tells.
    pub pid: Option<i32>,
}

/// A UNIX socket that is listened on; dropping it removes the socket.
#[derive(Debug)]
pub struct UnixDoor {
    listener: UnixListener,
    path: PathBuf,
    /// Held while the door is open: of two gateways that start at once, one wins.
    _lock: File,
}

/// Listens on a UNIX socket (mode 0600) in a directory of this user alone (mode 0700).
///
/// The directory is made when it is missing. A socket that nobody answers on is replaced.
///
/// # Errors
/// Another gateway answers there, something else stands there, or others may enter the directory.
pub async fn listen_admin(path: &Path) -> Result<UnixDoor, DoorError> {
    let failed =
        |source: io::Error| DoorError::Listen { address: path.display().to_string(), source };
    prepare_folder(path)?;
    let lock = lock_beside(path)?;
    remove_stale(path).await?;
    let listener = UnixListener::bind(path).map_err(failed)?;
    // Nobody else can be faster: the directory lets no other user in.
    fs::set_permissions(path, Permissions::from_mode(SOCKET_MODE)).map_err(failed)?;
    Ok(UnixDoor { listener, path: path.to_owned(), _lock: lock })
}

impl UnixDoor {
    /// Returns where the socket is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Hands every connection to `handler` until `stop`, then lets the open ones end within `drain`.
    pub async fn serve<H, F>(
        self,
        handler: H,
        stop: impl Future<Output = ()> + Send,
        drain: Duration,
    ) where
        H: Fn(Stream, AdminPeer) -> F + Send,
        F: Future<Output = ()> + Send + 'static,
    {
        serve(self, ADMIN_CONNECTIONS_MAX, handler, stop, drain).await;
    }
}

impl Entrance for UnixDoor {
    type Peer = AdminPeer;

    async fn next(&self) -> io::Result<Option<(Stream, AdminPeer)>> {
        match self.listener.accept().await {
            Ok((stream, _)) => Ok(peer_of(&stream).map(|peer| (Box::new(stream) as Stream, peer))),
            Err(error) if is_of_one_connection(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl Drop for UnixDoor {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::debug!(%error, "the admin socket could not be removed");
        }
    }
}

/// A peer that the kernel cannot name is not let in.
fn peer_of(stream: &UnixStream) -> Option<AdminPeer> {
    let found = stream.peer_cred().ok()?;
    Some(AdminPeer { uid: found.uid(), gid: found.gid(), pid: found.pid() })
}

fn prepare_folder(path: &Path) -> Result<(), DoorError> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) | None => Path::new("."),
    };
    let failed =
        |source: io::Error| DoorError::Listen { address: path.display().to_string(), source };
    let made = DirBuilder::new().mode(FOLDER_MODE).create(folder);
    if let Err(error) = made
        && error.kind() != io::ErrorKind::AlreadyExists
    {
        return Err(failed(error));
    }
    let found = fs::metadata(folder).map_err(failed)?;
    let is_ours = found.uid() == rustix::process::geteuid().as_raw();
    if !found.is_dir() || !is_ours || found.mode() & OTHERS_MODE_MASK != 0 {
        return Err(DoorError::NotPrivate { path: folder.to_owned() });
    }
    Ok(())
}

fn lock_beside(path: &Path) -> Result<File, DoorError> {
    let failed =
        |source: io::Error| DoorError::Listen { address: path.display().to_string(), source };
    let mut beside = path.as_os_str().to_owned();
    beside.push(".lock");
    let file = File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(SOCKET_MODE)
        .open(PathBuf::from(beside))
        .map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(DoorError::Busy { path: path.to_owned() }),
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

/// Removes a socket that nobody answers on; any doubt leaves it.
async fn remove_stale(path: &Path) -> Result<(), DoorError> {
    let failed =
        |source: io::Error| DoorError::Listen { address: path.display().to_string(), source };
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
    };
    if !found.file_type().is_socket() {
        return Err(DoorError::NotASocket { path: path.to_owned() });
    }
    match UnixStream::connect(path).await {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(failed)
        }
        Ok(_) | Err(_) => Err(DoorError::Busy { path: path.to_owned() }),
    }
}
