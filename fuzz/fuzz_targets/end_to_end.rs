#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| countersign_fuzz::end_to_end::check(data));
