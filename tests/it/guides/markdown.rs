//! Fenced blocks of a guide, each with the comments right above it, which readers do not see.

/// What a comment says of the block below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Directive {
    /// It cannot be run, and why.
    NotRun(String),
    /// The reader saves it under this name.
    SavedAs(String),
    /// Its last command goes on running, in a terminal of that name.
    Terminal(String),
    /// It is typed again until it says what is stated: what it shows comes with time.
    Eventually,
    /// It is about AWS: run against servers that answer like AWS, and not against the simulated fleet.
    Aws,
    /// Guides begin with it.
    Setup,
    /// Here, but not on AWS, this command ends with this exit code.
    Here { code: i32, command: String, why: String },
}

/// A fenced block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Block {
    /// `README.md:55`.
    pub(super) place: String,
    pub(super) language: String,
    pub(super) lines: Vec<String>,
    pub(super) directives: Vec<Directive>,
}

/// What becomes of a block.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fate<'a> {
    Run,
    Saved(&'a str),
    NotRun(&'a str),
    /// Nothing to type: a drawing, or a figure.
    Shown,
}

impl Block {
    /// An error where nothing says what becomes of it.
    pub(super) fn fate(&self) -> Result<Fate<'_>, String> {
        let mut fate = match self.language.as_str() {
            "sh" | "console" => Some(Fate::Run),
            "text" => Some(Fate::Shown),
            _ => None,
        };
        for directive in &self.directives {
            match directive {
                Directive::NotRun(why) => fate = Some(Fate::NotRun(why)),
                Directive::SavedAs(name) if fate.is_none() => fate = Some(Fate::Saved(name)),
                _ => {}
            }
        }
        fate.ok_or_else(|| {
            format!(
                "{}: a block of `{}` is run (`sh`, `console`), saved (`<!-- saved as: NAME -->`), shown (`text`), or says why \
                 it is not run (`<!-- not run: WHY -->`)",
                self.place, self.language
            )
        })
    }

    pub(super) fn is(&self, directive: &Directive) -> bool {
        self.directives.contains(directive)
    }

    pub(super) fn terminal(&self) -> Option<&str> {
        self.directives.iter().find_map(|directive| match directive {
            Directive::Terminal(name) => Some(name.as_str()),
            _ => None,
        })
    }

    /// The exit code that a command has here, where that differs from what is stated.
    pub(super) fn here(&self, command: &str) -> Option<i32> {
        self.directives.iter().find_map(|directive| match directive {
            Directive::Here { code, command: of, .. } if command.starts_with(of.as_str()) => Some(*code),
            _ => None,
        })
    }
}

/// Every fenced block, in order.
pub(super) fn blocks(guide: &str, text: &str) -> Result<Vec<Block>, String> {
    let mut found = Vec::new();
    let mut above: Vec<Directive> = Vec::new();
    let mut open: Option<Block> = None;
    for (number, line) in text.lines().enumerate() {
        let place = format!("{guide}:{}", number + 1);
        if let Some(block) = &mut open {
            if line.trim() == "```" {
                found.extend(open.take());
            } else {
                block.lines.push(line.to_owned());
            }
        } else if let Some(language) = line.strip_prefix("```") {
            let directives = std::mem::take(&mut above);
            open = Some(Block { place, language: language.trim().to_owned(), lines: Vec::new(), directives });
        } else if line.trim_start().starts_with("```") {
            return Err(format!("{place}: an indented block is not seen; begin it at the line's beginning"));
        } else if let Some(comment) = line.trim().strip_prefix("<!--") {
            let comment =
                comment.strip_suffix("-->").ok_or_else(|| format!("{place}: a comment of one line, please"))?;
            // Of a page that is generated.
            if comment.trim().starts_with("Made by ") {
                continue;
            }
            above.push(directive(comment.trim()).ok_or_else(|| format!("{place}: `{comment}` means nothing here"))?);
        } else if !line.trim().is_empty() && !above.is_empty() {
            return Err(format!("{place}: a comment above is about no block"));
        }
    }
    if let Some(block) = open {
        return Err(format!("{}: a block without an end", block.place));
    }
    if !above.is_empty() {
        return Err(format!("{guide}: the last comment is about no block"));
    }
    Ok(found)
}

fn directive(comment: &str) -> Option<Directive> {
    let (name, value) = comment.split_once(':').map_or((comment, ""), |(name, value)| (name, value.trim()));
    let said = !value.is_empty();
    match name {
        "not run" if said => Some(Directive::NotRun(value.to_owned())),
        "saved as" if said => Some(Directive::SavedAs(value.to_owned())),
        "terminal" if said => Some(Directive::Terminal(value.to_owned())),
        "eventually" if !said => Some(Directive::Eventually),
        "aws" if !said => Some(Directive::Aws),
        "setup" if !said => Some(Directive::Setup),
        // `here: exit code 1 of plimsoll doctor: why`
        "here" => {
            let (what, why) = value.strip_prefix("exit code ")?.split_once(": ")?;
            let (code, command) = what.split_once(" of ")?;
            Some(Directive::Here { code: code.parse().ok()?, command: command.to_owned(), why: why.to_owned() })
        }
        _ => None,
    }
}

#[test]
fn a_block_has_the_comments_right_above_it() {
    let text = "a\n<!-- aws -->\n<!-- not run: it costs -->\n\n```sh\nls\n```\nb\n```text\nx\n```\n";
    let found = blocks("a.md", text).unwrap();
    assert_eq!(found.len(), 2);
    assert_eq!(found[0].directives, [Directive::Aws, Directive::NotRun("it costs".to_owned())]);
    assert_eq!((found[0].place.as_str(), found[0].fate()), ("a.md:5", Ok(Fate::NotRun("it costs"))));
    assert_eq!((found[1].lines.as_slice(), found[1].fate()), (["x".to_owned()].as_slice(), Ok(Fate::Shown)));
}

#[test]
fn what_is_neither_run_nor_explained_is_an_error() {
    for (text, told) in [
        ("```\nls\n```\n", "is run (`sh`"),
        ("```yaml\na: 1\n```\n", "is run (`sh`"),
        ("<!-- not run: -->\n```sh\nls\n```\n", "means nothing here"),
        ("<!-- notrun: it costs -->\n```sh\nls\n```\n", "means nothing here"),
        ("<!-- aws -->\nwords\n```sh\nls\n```\n", "about no block"),
        ("<!-- aws -->\n", "about no block"),
        ("- a list\n  ```sh\n  ls\n  ```\n", "an indented block"),
        ("```sh\nls\n", "without an end"),
    ] {
        let found = blocks("a.md", text).and_then(|blocks| blocks.iter().try_for_each(|block| block.fate().map(drop)));
        let error = found.expect_err(text);
        assert!(error.contains(told) && error.starts_with("a.md"), "{text:?}: {error}");
    }
}
