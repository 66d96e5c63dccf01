//! A signal to a task of the same thread.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

/// Set by anybody on the thread, waited for by one task. Set before anybody waits, it is kept.
///
/// Every connection looks at two of them whenever it wakes: without the locks and lists of `tokio::sync::Notify`, which
/// serves many threads and waiters, that costs 15 instructions instead of 200.
#[derive(Default)]
pub(crate) struct Signal {
    set: Cell<bool>,
    waiter: Cell<Option<Waker>>,
}

impl std::fmt::Debug for Signal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signal")
            .field("set", &self.set.get())
            .finish_non_exhaustive()
    }
}

impl Signal {
    pub(crate) fn set(&self) {
        self.set.set(true);
        if let Some(waiter) = self.waiter.take() {
            waiter.wake();
        }
    }

    /// Ready once for every time that it was set since the last look; several count as one.
    pub(crate) fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.set.take() {
            return Poll::Ready(());
        }
        let known = self.waiter.take();
        let waiter = known.filter(|known| known.will_wake(cx.waker()));
        self.waiter
            .set(Some(waiter.unwrap_or_else(|| cx.waker().clone())));
        Poll::Pending
    }

    pub(crate) async fn wait(&self) {
        poll_fn(|cx| self.poll(cx)).await;
    }

    /// Runs `future` until it ends, or the signal is set.
    pub(crate) async fn ends(&self, future: impl Future) {
        let mut future = pin!(future);
        poll_fn(|cx| {
            if future.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
            }
            self.poll(cx)
        })
        .await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn it_is_kept_until_somebody_looks_and_wakes_who_waits() {
        let (woken, signal) = (Arc::new(Woken::default()), Signal::default());
        let waker = Waker::from(Arc::clone(&woken));
        let mut cx = Context::from_waker(&waker);
        signal.set();
        signal.set();
        assert_eq!(signal.poll(&mut cx), Poll::Ready(()));
        assert_eq!(signal.poll(&mut cx), Poll::Pending);
        assert_eq!(woken.0.load(Ordering::Relaxed), 0);
        signal.set();
        assert_eq!(woken.0.load(Ordering::Relaxed), 1);
        assert_eq!(signal.poll(&mut cx), Poll::Ready(()));

        // Only the last task that waited is woken.
        let other = Arc::new(Woken::default());
        let others = Waker::from(Arc::clone(&other));
        assert_eq!(signal.poll(&mut cx), Poll::Pending);
        assert_eq!(
            signal.poll(&mut Context::from_waker(&others)),
            Poll::Pending
        );
        signal.set();
        assert_eq!(woken.0.load(Ordering::Relaxed), 1);
        assert_eq!(other.0.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn what_it_ends_is_over_and_what_ends_by_itself_too() {
        let signal = Signal::default();
        let mut cx = Context::from_waker(Waker::noop());
        let mut cut = pin!(signal.ends(std::future::pending::<()>()));
        assert_eq!(cut.as_mut().poll(&mut cx), Poll::Pending);
        signal.set();
        assert_eq!(cut.as_mut().poll(&mut cx), Poll::Ready(()));
        let own = pin!(signal.ends(std::future::ready(())));
        assert_eq!(own.poll(&mut cx), Poll::Ready(()));
    }
}
