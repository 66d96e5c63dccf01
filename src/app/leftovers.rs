//! What nobody needs any more, and who ends it.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;

/// Between two looks whether something is still in use: at first, and at most.
const PAUSES: [Duration; 2] = [Duration::from_millis(10), Duration::from_secs(1)];

/// More than any allocator keeps in one page with others.
const A_PAGE: usize = 1024 * 1024;

/// Ends what a reload replaced, on this thread, once no request uses it. Otherwise the last request would: its worker would
/// stand still for as long as it takes to free ten thousand routes.
pub(super) fn let_go<T: 'static>(old: Arc<T>, clock: &Clock) {
    let clock = clock.clone();
    tokio::task::spawn_local(async move {
        let [mut pause, most] = PAUSES;
        while Arc::strong_count(&old) > 1 {
            clock.sleep(pause).await;
            pause = pause.saturating_mul(2).min(most);
        }
    });
}

/// Gives memory back to the system that a burst needed. mimalloc waits for a second whether a free page is needed again, and
/// looks when the next page is freed, whose ever it is: with nothing to do there would be none. So one is.
pub(super) fn give_pages_back() {
    drop(black_box(Vec::<u8>::with_capacity(A_PAGE)));
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread::{self, ThreadId};

    use tokio::runtime::{Builder, LocalOptions};

    use super::*;

    /// Tells which thread ended it.
    struct Ends(mpsc::Sender<ThreadId>);

    impl Drop for Ends {
        fn drop(&mut self) {
            self.0.send(thread::current().id()).unwrap();
        }
    }

    #[test]
    fn the_thread_that_let_go_ends_what_another_used_last() {
        let runtime = Builder::new_current_thread()
            .enable_time()
            .build_local(LocalOptions::default())
            .unwrap();
        runtime.block_on(async {
            let (told, ended) = mpsc::channel();
            let old = Arc::new(Ends(told));
            let used = Arc::clone(&old);
            let_go(old, &Clock::system());
            // It is looked at while it is in use.
            tokio::task::yield_now().await;
            assert_eq!(ended.try_recv(), Err(mpsc::TryRecvError::Empty));
            thread::spawn(move || drop(used)).join().unwrap();
            let by = loop {
                match ended.try_recv() {
                    Ok(by) => break by,
                    Err(_) => tokio::task::yield_now().await,
                }
            };
            assert_eq!(by, thread::current().id());
        });
    }
}
