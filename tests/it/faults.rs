//! Faults around the proxy and in it: issuers, upstreams, descriptors, disks, clocks, files.

mod idp_states;
mod outage;
