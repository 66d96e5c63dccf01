/// RFC 9421 message signature over method, target, authority and identity headers.
#[derive(Debug)]
pub struct SignatureSettings {}
