//! Documents that do not load.
