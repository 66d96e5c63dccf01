/// Host and port of a request, valid and agreed between `Host`, `:authority` and an absolute target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority {
    /// As the client wrote it; forwarded as `Host`.
    pub(crate) written: http::HeaderValue,
    /// Lower-case, one trailing dot dropped, without the port. What policy sees.
    pub(crate) host: Box<str>,
    /// The port, when written.
    pub(crate) port: Option<u16>,
}
