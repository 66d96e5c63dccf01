//! What a panic says on standard error: where, and words that stand in the source. A message that was made when it happened may
//! quote what was at hand, such as a token that was being read (invariant 46); it is not shown. The place suffices.

use std::any::Any;
use std::backtrace::Backtrace;
use std::panic::Location;

use super::output;

/// Replaces the hook of the standard library, which prints every message.
pub(super) fn install() {
    std::panic::set_hook(Box::new(|panic| {
        let thread = std::thread::current();
        let mut text = report(panic.payload(), panic.location(), thread.name());
        // Names of functions and places; captured only where RUST_BACKTRACE asks for it.
        let backtrace = Backtrace::capture();
        if backtrace.status() == std::backtrace::BacktraceStatus::Captured {
            text.push_str(&format!("{backtrace}"));
        }
        output::err(&text);
    }));
}

fn report(payload: &dyn Any, location: Option<&Location<'_>>, thread: Option<&str>) -> String {
    let thread = thread.unwrap_or("without a name");
    let place = location.map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
    let message = payload
        .downcast_ref::<&'static str>()
        .copied()
        .unwrap_or("its message is not shown, since it may quote a request");
    format!("countersign: the thread `{thread}` panicked at {place}: {message}\n")
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    const CANARY: &str = "eyJhbGciOiJSUzI1NiJ9.Y2FuYXJ5.c2ln";

    #[test]
    #[ignore = "panics; run by the test below in a process of its own"]
    fn panics_with_a_token_at_hand() {
        install();
        let at_hand = String::from(CANARY);
        for panic in [
            std::thread::spawn({
                let at_hand = at_hand.clone();
                move || panic!("cannot read {at_hand}")
            }),
            std::thread::spawn(move || {
                at_hand.parse::<u64>().map_err(|_| at_hand).unwrap();
            }),
            std::thread::spawn(|| panic!("these words stand in the source")),
        ] {
            assert!(panic.join().is_err());
        }
    }

    #[test]
    fn invariant_46_a_panic_tells_its_place_and_quotes_nothing() {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--ignored", "--nocapture"])
            .arg("cli::panics::tests::panics_with_a_token_at_hand")
            .env("RUST_BACKTRACE", "full")
            .output()
            .unwrap();
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(output.status.success(), "{said}");
        assert_eq!(
            said.matches("panicked at src/cli/panics.rs").count(),
            3,
            "{said}"
        );
        assert!(said.contains("these words stand in the source"), "{said}");
        assert!(
            said.contains("panics_with_a_token_at_hand"),
            "a backtrace: {said}"
        );
        assert!(
            !said.contains("eyJ") && !said.contains("Y2FuYXJ5"),
            "{said}"
        );
    }
}
