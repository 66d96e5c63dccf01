/// A verified payload: a JSON object without duplicate names.
#[derive(Debug)]
pub struct Claims {}
