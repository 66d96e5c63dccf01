//! Points where tests make a step fail, panic or never end (INVARIANTS 34): compiled only with the feature `failpoints`.
//!
//! A point is a statement of `failpoint!` at a fallible step or beside an await. Without the feature the macro is
//! nothing at all, and a build without debug assertions refuses the feature: what is shipped cannot hold one.
//! `tests/it/faults/failpoints.rs` goes through every point and every fault, and fails when one of them was not met.

#[cfg(all(feature = "failpoints", not(debug_assertions)))]
compile_error!("the feature `failpoints` is for tests: no release is built with it");

/// `failpoint!(Point, value)` returns `value` where that point shall fail, and panics where it shall panic. Beside an
/// await, `failpoint!(async Point, value)` can also never end; in a `poll` function, `failpoint!(poll Point, value)`.
#[cfg(feature = "failpoints")]
macro_rules! failpoint {
    (async $point:ident $(, $value:expr)?) => {
        if crate::failpoint::reach(crate::failpoint::Point::$point).await {
            return $($value)?;
        }
    };
    (poll $point:ident, $value:expr) => {
        match crate::failpoint::poll(crate::failpoint::Point::$point) {
            std::task::Poll::Pending => return std::task::Poll::Pending,
            std::task::Poll::Ready(true) => return $value,
            std::task::Poll::Ready(false) => {}
        }
    };
    ($point:ident $(, $value:expr)?) => {
        if crate::failpoint::hit(crate::failpoint::Point::$point) {
            return $($value)?;
        }
    };
}

#[cfg(not(feature = "failpoints"))]
macro_rules! failpoint {
    ($($anything:tt)*) => {};
}

#[cfg(feature = "failpoints")]
pub use on::{Fault, Point, arm, is_armed, met, release};
#[cfg(feature = "failpoints")]
pub(crate) use on::{hit, poll, reach};

#[cfg(feature = "failpoints")]
mod on {
    use std::collections::BTreeSet;
    use std::sync::{Mutex, MutexGuard, PoisonError};
    use std::task::Poll;

    /// What a point does to the one who comes by.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
    pub enum Fault {
        /// The step fails.
        Error,
        /// It panics.
        Panic,
        /// It never ends; for awaits.
        Hang,
    }

    macro_rules! points {
        ($($(#[$doc:meta])* $name:ident [$($fault:ident)+],)+) => {
            /// Where a step can be made to fail.
            #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
            pub enum Point {
                $($(#[$doc])* $name,)+
            }

            impl Point {
                /// All of them.
                pub const ALL: &'static [Self] = &[$(Self::$name),+];

                /// What can be done to it.
                #[must_use]
                pub const fn faults(self) -> &'static [Fault] {
                    match self {
                        $(Self::$name => &[$(Fault::$fault),+],)+
                    }
                }
            }
        };
    }

    points! {
        /// The listener's part of the snapshot.
        Snapshot [Error Panic],
        /// A request taken apart.
        Take [Error Panic],
        /// After the request is counted among those in flight.
        Admit [Error Panic],
        /// The canonical reading.
        Read [Error Panic],
        /// The route.
        Route [Error Panic],
        /// Authentication.
        Identify [Error Panic],
        /// The verdict on a token, the cache of verdicts held.
        Judge [Panic],
        /// A verdict put into the cache.
        Remember [Panic],
        /// Waiting for a key that is not held.
        Wait [Error Panic Hang],
        /// Waiting for what somebody else says of a token.
        Review [Error Panic Hang],
        /// After that wait was in vain.
        GiveUp [Error Panic],
        /// Policy.
        Authorize [Error Panic],
        /// The identity headers.
        Vouch [Error Panic],
        /// What depends on the token alone of them.
        Prepare [Panic],
        /// The signature of an assertion.
        Sign [Error Panic],
        /// Outbound: whether it is within reach.
        Reach [Error Panic],
        /// Outbound: waiting for a token, none being held.
        Obtain [Error Panic],
        /// Outbound: the token put on.
        Attach [Error Panic],
        /// Outbound: waiting for another token after a 401.
        Renew [Error Panic],
        /// The connections to the upstream.
        Pool [Error Panic],
        /// A request opened for forwarding.
        Open [Error Panic],
        /// Its head made.
        Head [Error Panic],
        /// An idle connection to the upstream.
        Reuse [Error Panic],
        /// A new connection to the upstream.
        Connect [Error Panic Hang],
        /// HTTP/1.1 on it.
        Handshake [Error Panic Hang],
        /// HTTP/2 on it.
        Handshake2 [Error Panic Hang],
        /// Sending, HTTP/1.1.
        Send [Error Panic Hang],
        /// Sending, HTTP/2.
        Send2 [Error Panic Hang],
        /// A piece of the request body.
        RequestBody [Error Panic Hang],
        /// The head of the upstream's answer.
        Answer [Error Panic],
        /// An upgrade that the upstream agreed to.
        Upgrade [Error Panic],
        /// The tunnel after it.
        Tunnel [Error Panic],
        /// A piece of the answer's body.
        ResponseBody [Error Panic Hang],
        /// An answer of ours.
        Render [Panic],
        /// The rest of a refused body, read and thrown away.
        Discard [Error Panic Hang],
        /// A connection taken from the listener.
        Serve [Error Panic],
        /// TLS on it.
        TlsHandshake [Error Panic Hang],
        /// The first bytes, which tell the protocol.
        Preface [Error Panic Hang],
        /// A fetch of keys over the network.
        Fetch [Error Panic Hang],
        /// The copy of keys on disk.
        Copy [Error Panic Hang],
        /// A reload of the configuration.
        Reload [Error Panic],
        /// An answer of admin.
        Admin [Panic],
    }

    #[derive(Debug)]
    struct State {
        armed: Option<(Point, Fault)>,
        /// Where whoever polls is pending.
        held: Option<Point>,
        met: BTreeSet<(Point, Fault)>,
    }

    static STATE: Mutex<State> = Mutex::new(State {
        armed: None,
        held: None,
        met: BTreeSet::new(),
    });

    fn state() -> MutexGuard<'static, State> {
        STATE.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next to come by meets this fault, once.
    pub fn arm(point: Point, fault: Fault) {
        state().armed = Some((point, fault));
    }

    /// Whether nobody has met the fault yet.
    #[must_use]
    pub fn is_armed() -> bool {
        state().armed.is_some()
    }

    /// Who polls a point that hangs gets on; nothing wakes it. Awaits that hang do so for ever.
    pub fn release() {
        state().held = None;
    }

    /// What was met so far.
    #[must_use]
    pub fn met() -> BTreeSet<(Point, Fault)> {
        state().met.clone()
    }

    fn meet(point: Point) -> Option<Fault> {
        let mut state = state();
        let (_, fault) = state.armed.filter(|(armed, _)| *armed == point)?;
        state.armed = None;
        state.met.insert((point, fault));
        Some(fault)
    }

    #[expect(clippy::panic, reason = "a panic is what was asked for")]
    fn panic_at(point: Point) -> ! {
        panic!("a failpoint was met: {point:?}")
    }

    /// Whether the step fails.
    pub(crate) fn hit(point: Point) -> bool {
        match meet(point) {
            None | Some(Fault::Hang) => false,
            Some(Fault::Error) => true,
            Some(Fault::Panic) => panic_at(point),
        }
    }

    /// Whether the step fails, if it ends.
    pub(crate) async fn reach(point: Point) -> bool {
        match meet(point) {
            None => false,
            Some(Fault::Error) => true,
            Some(Fault::Panic) => panic_at(point),
            Some(Fault::Hang) => std::future::pending().await,
        }
    }

    /// The same in a `poll` function. Nothing wakes the task again, save what it also waits for.
    pub(crate) fn poll(point: Point) -> Poll<bool> {
        if state().held == Some(point) {
            return Poll::Pending;
        }
        match meet(point) {
            None => Poll::Ready(false),
            Some(Fault::Error) => Poll::Ready(true),
            Some(Fault::Panic) => panic_at(point),
            Some(Fault::Hang) => {
                state().held = Some(point);
                Poll::Pending
            }
        }
    }
}
