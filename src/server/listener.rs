//! Sockets: HTTP/1.1 and HTTP/2 (by prior knowledge) on one port, a bounded number of connections, an orderly end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;

/// A connection that sends no request for so long is closed.
const IDLE: Duration = Duration::from_secs(600);
/// Requests at once on one HTTP/2 connection; clients that want more open another.
const STREAMS: u32 = 1024;
/// How often an HTTP/2 client that says nothing is asked whether it is still there.
const PING: Duration = Duration::from_secs(30);

/// A port cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {}", reason(.error))]
pub struct BindError {
    address: SocketAddr,
    error: std::io::Error,
}

fn reason(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::AddrInUse => "the port is taken by another process".to_owned(),
        std::io::ErrorKind::PermissionDenied => "the port needs more rights".to_owned(),
        _ => error.to_string(),
    }
}

/// Open sockets that nobody serves yet: clients may connect already and wait.
pub struct Listeners {
    sockets: Vec<TcpListener>,
}

impl Listeners {
    /// Opens every address.
    ///
    /// # Errors
    /// One of them cannot be listened on.
    pub async fn bind(addresses: impl IntoIterator<Item = SocketAddr>) -> Result<Self, BindError> {
        let mut sockets = Vec::new();
        for address in addresses {
            sockets.push(TcpListener::bind(address).await.map_err(|error| BindError { address, error })?);
        }
        Ok(Self { sockets })
    }

    /// The first address as a URL, with the port that port 0 became.
    pub fn url(&self) -> String {
        match self.sockets.first().map(TcpListener::local_addr) {
            Some(Ok(address)) => format!("http://{address}"),
            Some(Err(_)) | None => String::new(),
        }
    }

    /// Serves until `stopping` turns true, then lets connections finish their answers for at most `patience`.
    pub async fn serve(
        self,
        router: Router,
        max_connections: u32,
        stopping: watch::Receiver<bool>,
        patience: Duration,
    ) {
        let places = Arc::new(Semaphore::new(usize::try_from(max_connections).unwrap_or(Semaphore::MAX_PERMITS)));
        let mut accepting = JoinSet::new();
        for socket in self.sockets {
            let (router, places, stopping) = (router.clone(), Arc::clone(&places), stopping.clone());
            accepting.spawn(accept(socket, router, places, stopping, patience));
        }
        while accepting.join_next().await.is_some() {}
    }
}

async fn accept(
    socket: TcpListener,
    router: Router,
    places: Arc<Semaphore>,
    mut stopping: watch::Receiver<bool>,
    patience: Duration,
) {
    let server = server();
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    loop {
        let next = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (socket.accept().await, place)
        };
        let (accepted, place) = tokio::select! {
            next = next => next,
            Some(_) = connections.join_next() => continue,
            _ = stopping.wait_for(|stopping| *stopping) => break,
        };
        let (Ok(place), Ok((stream, _))) = (place, accepted) else {
            // Out of file descriptors, mostly: the clients that leave make room.
            tracing::warn!("a connection could not be accepted");
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        connections.spawn(connection(&server, &graceful, stream, router.clone(), place));
    }
    drop(socket);
    if tokio::time::timeout(patience, graceful.shutdown()).await.is_err() {
        tracing::warn!("connections with unfinished answers were closed");
    }
    connections.shutdown().await;
}

/// How connections are spoken with.
fn server() -> Builder<TokioExecutor> {
    let mut server = Builder::new(TokioExecutor::new());
    server.http1().timer(TokioTimer::new()).header_read_timeout(IDLE);
    server.http2().timer(TokioTimer::new()).max_concurrent_streams(STREAMS).keep_alive_interval(PING);
    server
}

/// One connection; its place is free again when it ends.
fn connection(
    server: &Builder<TokioExecutor>,
    graceful: &GracefulShutdown,
    stream: TcpStream,
    router: Router,
    place: OwnedSemaphorePermit,
) -> impl Future<Output = ()> + Send + 'static {
    // Rows of a push query are small and must leave at once.
    let _ = stream.set_nodelay(true);
    let connection = server.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router)).into_owned();
    let connection = graceful.watch(connection);
    async move {
        if let Err(error) = connection.await {
            tracing::debug!(error, "connection ended");
        }
        drop(place);
    }
}
