//! The schema against documents and code.
