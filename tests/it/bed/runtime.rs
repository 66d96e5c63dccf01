//! One background runtime for the HTTP/2 parts of the bed; everything else is threads.

use std::future::Future;
use std::sync::OnceLock;

use tokio::runtime::Handle;

use super::PATIENCE;

/// The background runtime.
pub fn handle() -> &'static Handle {
    static HANDLE: OnceLock<Handle> = OnceLock::new();
    HANDLE.get_or_init(|| {
        let (sender, receiver) = std::sync::mpsc::channel();
        std::thread::Builder::new()
            .name("bed-runtime".into())
            .spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .expect("a runtime");
                sender.send(runtime.handle().clone()).expect("a receiver");
                runtime.block_on(std::future::pending::<()>());
            })
            .expect("a thread");
        receiver.recv().expect("the runtime starts")
    })
}

/// Runs `future` in the background and waits for it, with patience.
pub fn wait<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> T {
    let (sender, receiver) = std::sync::mpsc::channel();
    handle().spawn(async move {
        let _ = sender.send(future.await);
    });
    receiver
        .recv_timeout(PATIENCE)
        .expect("an HTTP/2 step took too long")
}
