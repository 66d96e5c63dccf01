//! Findings as GitHub's workflow commands: `::error file=…,line=…,col=…,title=…::message`, one on each line of standard
//! output, which Actions shows at the lines of a change.

use crate::config::{Problem, Problems};
use crate::telemetry::json::visible;

/// A command for each problem.
pub(super) fn commands(problems: &Problems) -> String {
    problems.iter().map(command).collect()
}

fn command(problem: &Problem) -> String {
    let mut place = format!("file={}", property(&problem.file.display().to_string()));
    if problem.line > 0 {
        place.push_str(&format!(",line={},col={}", problem.line, problem.column));
    }
    let mut message = problem.message.clone();
    if !problem.path.is_empty() {
        message = format!("{}: {message}", problem.path);
    }
    format!(
        "::{} {place},title={}::{}%0A{}\n",
        problem.severity.word(),
        property(&format!("countersign {}", problem.code)),
        data(&message),
        data(problem.remedy())
    )
}

/// The message of a command: it ends with the line.
fn data(text: &str) -> String {
    // Line ends and other control characters are written out before that.
    visible(text).replace('%', "%25")
}

/// The value of a property, which ends before a colon or a comma as well.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}
