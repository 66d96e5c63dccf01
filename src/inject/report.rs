//! What was found, changed and left to do.

/// One line of the report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The object: `Deployment web`.
    pub object: String,
    /// The container it is about; empty for the whole object.
    pub container: String,
    /// What kind of line it is.
    pub kind: FindingKind,
    /// In words.
    pub text: String,
}

/// What kind of line it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FindingKind {
    /// What was recognised.
    Found,
    /// What was changed.
    Changed,
    /// What was left as it was.
    Left,
    /// What only the operator can do.
    ToDo,
}

impl FindingKind {
    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Found => "found",
            Self::Changed => "changed",
            Self::Left => "left",
            Self::ToDo => "to do",
        }
    }
}

/// Collects findings about one object.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    object: String,
    pub(crate) findings: Vec<Finding>,
}

impl Notes {
    pub(crate) fn about(object: impl Into<String>) -> Self {
        Self {
            object: object.into(),
            findings: Vec::new(),
        }
    }

    pub(crate) fn found(&mut self, container: &str, text: impl Into<String>) {
        self.push(container, FindingKind::Found, text.into());
    }

    pub(crate) fn changed(&mut self, container: &str, text: impl Into<String>) {
        self.push(container, FindingKind::Changed, text.into());
    }

    pub(crate) fn left(&mut self, container: &str, text: impl Into<String>) {
        self.push(container, FindingKind::Left, text.into());
    }

    /// What the operator is asked to do.
    pub(crate) fn ask(&mut self, container: &str, text: impl Into<String>) {
        self.push(container, FindingKind::ToDo, text.into());
    }

    fn push(&mut self, container: &str, kind: FindingKind, text: String) {
        self.findings.push(Finding {
            object: self.object.clone(),
            container: container.to_owned(),
            kind,
            text,
        });
    }
}
