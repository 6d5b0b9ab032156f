//! Which shards of the embedded store are open: opened on first use, closed when idle or when too many are, never opened
//! twice. Knows directories and locks; what is asked of a shard is `embedded`'s business.

use std::{
    collections::HashMap,
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock},
    time::Instant,
};
use uuid::Uuid;

use super::{
    VectorError,
    embedded::EmbeddedConfig,
    shard::{self, Marker, OpenShard},
};

/// Layout of a shard directory.
const FORMAT: u32 = 1;

/// An open shard that cannot be closed while this is held.
pub(super) type InUse = OwnedRwLockReadGuard<Option<OpenShard>, OpenShard>;

/// A place for every tenant that was used since the start, open or not: its lock is what keeps a shard from being opened
/// twice. A place without an open shard takes some 200 bytes.
pub(super) struct Places {
    config: EmbeddedConfig,
    places: Mutex<HashMap<Uuid, Arc<Place>>>,
    closed: AtomicBool,
}

struct Place {
    shard: Arc<RwLock<Option<OpenShard>>>,
    used: Mutex<Instant>,
}

impl Place {
    fn new() -> Self {
        Self { shard: Arc::new(RwLock::new(None)), used: Mutex::new(Instant::now()) }
    }

    fn touch(&self) {
        *self.used.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn idle_for(&self) -> Duration {
        self.used.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }

    /// Closes the shard when nobody uses it at this moment. Returns whether one was closed.
    async fn close_unless_used(&self) -> bool {
        match self.shard.clone().try_write_owned() {
            Ok(place) => close(place).await,
            Err(_) => false,
        }
    }
}

/// Closes what is open in a locked place. Returns whether something was.
///
/// In a task of its own, because the place must stay locked until the files are free, also when the caller gives up.
async fn close(mut place: OwnedRwLockWriteGuard<Option<OpenShard>>) -> bool {
    let Some(open) = place.take() else { return false };
    let closing = tokio::spawn(async move {
        open.close().await;
        drop(place);
    });
    closing.await.is_ok()
}

impl Places {
    /// Starts the task that closes idle shards, so call it inside the runtime.
    pub fn new(config: EmbeddedConfig) -> Arc<Self> {
        let places = Arc::new(Self { config, places: Mutex::default(), closed: AtomicBool::new(false) });
        tokio::spawn(close_idle(Arc::downgrade(&places)));
        places
    }

    pub fn config(&self) -> &EmbeddedConfig {
        &self.config
    }

    /// Tenants whose shard is open or being opened or closed.
    pub fn open_tenants(&self) -> Vec<Uuid> {
        let places = self.locked();
        let open = places.iter().filter(|(_, place)| place.shard.try_read().map_or(true, |shard| shard.is_some()));
        open.map(|(tenant, _)| *tenant).collect()
    }

    /// Whether the tenant has a shard on disk.
    pub fn exists(&self, tenant: Uuid) -> bool {
        shard::exists(&self.directory(tenant))
    }

    /// The tenant's shard, opened when it is not; `None` when there is none and `create` is false.
    pub async fn shard(self: &Arc<Self>, tenant: Uuid, create: bool) -> Result<Option<InUse>, VectorError> {
        let place = self.place(tenant)?;
        let guard = place.shard.clone().read_owned().await;
        if let Ok(open) = OwnedRwLockReadGuard::try_map(guard, Option::as_ref)
            && !open.must_reopen()
        {
            return Ok(Some(open));
        }
        if !create && !self.exists(tenant) {
            return Ok(None);
        }
        self.make_room().await;
        let places = self.clone();
        // A task of its own: a caller that gives up must not leave a half-opened shard behind an unlocked place.
        let opening = tokio::spawn(async move { places.open(&place, tenant).await });
        opening.await.unwrap_or_else(|_| Err(panicked())).map(Some)
    }

    /// Closes the tenant's shard and removes its directory, of every embedding version.
    pub async fn drop_tenant(&self, tenant: Uuid) -> Result<(), VectorError> {
        let place = self.place(tenant)?;
        let directory = self.config.directory.join(tenant.to_string());
        let mut place = place.shard.clone().write_owned().await;
        let dropping = tokio::spawn(async move {
            if let Some(open) = place.take() {
                open.close().await;
            }
            let removed = tokio::fs::remove_dir_all(directory).await;
            drop(place);
            match removed {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(shard::unavailable(&error)),
                _ => Ok(()),
            }
        });
        dropping.await.unwrap_or(Err(VectorError::Closed))
    }

    /// Refuses new users, waits for those there are, and closes every shard.
    pub async fn close(&self) {
        self.closed.store(true, Ordering::Release);
        for place in self.by_last_use() {
            close(place.shard.clone().write_owned().await).await;
        }
    }

    fn locked(&self) -> MutexGuard<'_, HashMap<Uuid, Arc<Place>>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn place(&self, tenant: Uuid) -> Result<Arc<Place>, VectorError> {
        if self.closed.load(Ordering::Acquire) {
            return Err(VectorError::Closed);
        }
        if tenant.is_nil() {
            return Err(VectorError::Invalid("no tenant".into()));
        }
        let mut places = self.locked();
        let place = places.entry(tenant).or_insert_with(|| Arc::new(Place::new()));
        place.touch();
        Ok(place.clone())
    }

    /// Places with the longest unused first.
    fn by_last_use(&self) -> Vec<Arc<Place>> {
        let mut places: Vec<_> = self.locked().values().cloned().collect();
        places.sort_by_cached_key(|place| std::cmp::Reverse(place.idle_for()));
        places
    }

    fn directory(&self, tenant: Uuid) -> std::path::PathBuf {
        self.config.directory.join(tenant.to_string()).join(self.config.spec.version())
    }

    async fn open(&self, place: &Place, tenant: Uuid) -> Result<InUse, VectorError> {
        let mut guard = place.shard.clone().write_owned().await;
        if self.closed.load(Ordering::Acquire) {
            return Err(VectorError::Closed);
        }
        if guard.as_ref().is_some_and(OpenShard::must_reopen)
            && let Some(old) = guard.take()
        {
            old.close().await;
        }
        if guard.is_none() {
            let directory = self.directory(tenant);
            let EmbeddedConfig { spec, bm25_avg_len, optimise_after, .. } = self.config.clone();
            let marker = Marker { format: FORMAT, spec, bm25_avg_len };
            let opening = tokio::task::spawn_blocking(move || OpenShard::open(&directory, &marker, optimise_after));
            *guard = Some(opening.await.unwrap_or_else(|_| Err(panicked()))?);
        }
        OwnedRwLockReadGuard::try_map(guard.downgrade(), Option::as_ref).map_err(|_| VectorError::Closed)
    }

    /// Closes shards, longest unused first, until one more may be opened; those in use stay.
    async fn make_room(&self) {
        let mut open = self.by_last_use();
        open.retain(|place| place.shard.try_read().is_ok_and(|shard| shard.is_some()));
        let mut surplus = (open.len() + 1).saturating_sub(self.config.max_open_shards.max(1));
        for place in open {
            if surplus == 0 {
                return;
            }
            if place.close_unless_used().await {
                surplus -= 1;
            }
        }
    }
}

fn panicked() -> VectorError {
    VectorError::Engine("it panicked while opening".into())
}

/// Closes shards that nobody used for `idle_after`; ends when the store is gone.
async fn close_idle(places: Weak<Places>) {
    loop {
        let Some(pause) = places.upgrade().map(|places| places.config.idle_after / 4) else { return };
        tokio::time::sleep(pause.max(Duration::from_millis(10))).await;
        let Some(places) = places.upgrade() else { return };
        for place in places.by_last_use() {
            if place.idle_for() >= places.config.idle_after {
                place.close_unless_used().await;
            }
        }
    }
}
