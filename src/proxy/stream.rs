//! The tasks of HTTP/2 streams: one may be cut, and its connection lives on for the others.

use std::cell::RefCell;
use std::rc::Rc;

use super::signal::Signal;

/// The task of one stream.
#[derive(Debug, Default)]
pub(crate) struct StreamTask(Signal);

impl StreamTask {
    /// Ends it, and with it the stream where nobody else holds a part of it: dropping all of a stream resets it.
    pub(super) fn cut(&self) {
        self.0.set();
    }
}

/// Runs the tasks of one connection on the worker's own thread.
///
/// As a server, hyper calls the service for a request and then, before anything else, hands over the task that will drive
/// it; as a client, it asks the body for its first piece, and then hands over the task that will send it, if there is more.
/// So the stream that was announced last is the one whose task comes.
#[derive(Clone, Debug, Default)]
pub(crate) struct StreamExecutor {
    next: Rc<RefCell<Option<Rc<StreamTask>>>>,
}

impl StreamExecutor {
    /// A stream whose task comes next.
    pub(crate) fn announce(&self) -> Rc<StreamTask> {
        let task = Rc::new(StreamTask::default());
        self.next.replace(Some(Rc::clone(&task)));
        task
    }
}

impl<F: Future + 'static> hyper::rt::Executor<F> for StreamExecutor
where
    F::Output: 'static,
{
    fn execute(&self, future: F) {
        let task = self.next.take().unwrap_or_default();
        tokio::task::spawn_local(async move { task.0.ends(future).await });
    }
}
