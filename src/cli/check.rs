//! `check FILE…`: the same evaluation as the controller's, offline.

use std::path::PathBuf;

use clap::Args;

use super::error::{Answer, Error};
use super::offline::{Assumed, InputFile, Judged, cases, github, judge, sarif, shape};
use super::output::{Format, table, talk};
use super::run::Session;
use super::{files, policies, sentences};
use crate::model::Verdict;
use crate::model::mask::clean_text;
use crate::model::spec::{Enforcement, ResourceKind};
use crate::policy::WaiverUse;

/// What to judge, and by what.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// JSON or YAML: what ECS describes or registers, lists of it, CloudFormation templates (CDK's too), what `terraform
    /// show -json` prints; `-` for stdin
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Policies, Bindings and Waivers; by default policies/, else those built in
    #[arg(short, long = "filename", value_name = "PATH", num_args = 1)]
    filename: Vec<PathBuf>,
    /// Where it would run, for scopes: cluster=prod-a,tags.env=prod
    #[arg(long, value_name = "KEY=VALUE,…", default_value = "", hide_default_value = true)]
    assume: Assumed,
}

pub(super) fn run(session: &mut Session, arguments: &Arguments) -> Result<Answer, Error> {
    session.output.only(&[
        Format::Table,
        Format::Wide,
        Format::Json,
        Format::Yaml,
        Format::Sarif,
        Format::Junit,
        Format::Github,
    ])?;
    let now = session.now();
    let policies = policies::offline(&arguments.filename, now)?;
    let files = read(&arguments.files)?;
    let judged = judge::judge(&policies.set, &files, &arguments.assume, now);
    if judged.is_empty() {
        return Err(Error::new("there is nothing to judge: no file holds an ECS resource")
            .help("name the template or plan that has the task definitions, services or clusters"));
    }
    let waivers = judge::waivers(&policies.set, &judged, now);
    let results = || judged.iter().flat_map(|one| &one.results);
    if results().next().is_none() {
        return Err(Error::new(format!(
            "no policy is in effect: `{}` has none for what the files hold",
            policies.source
        ))
        .help("name files or folders with policies with -f"));
    }
    if results().all(|result| result.verdict == Verdict::Skip && result.enforcement == Enforcement::Off) {
        return Err(Error::new(format!(
            "no policy is in effect: all of `{}` that are about what the files hold are `off`",
            policies.source
        ))
        .help("bind one with another enforcement"));
    }
    match session.output.format() {
        Format::Json | Format::Yaml => session.output.value(&judge::to_json(&policies, &judged, &waivers))?,
        Format::Sarif => session.output.value(&sarif::sarif(&policies, &judged))?,
        Format::Junit => session.output.text(&cases::junit(&judged))?,
        Format::Github => session.output.text(&github::github(&judged))?,
        format => session.output.text(&for_people(&judged, &policies, &waivers, format == Format::Wide))?,
    }
    Ok(Answer::of(settled(&judged) && !files.iter().any(|file| file.has_failures)))
}

/// Reads the files, all of them, and tells all that cannot be read.
pub(super) fn read(paths: &[PathBuf]) -> Result<Vec<InputFile>, Error> {
    let mut read = Vec::new();
    let mut wrong: Option<Error> = None;
    for path in paths {
        match files::read_one(path).and_then(|(name, bytes)| shape::read(&name, bytes)) {
            Ok(file) => {
                if file.resources.is_empty() {
                    talk(&format!("note: `{}` holds no ECS resource that policies are about", clean_text(&file.name)));
                }
                for note in &file.notes {
                    talk(&format!("note: `{}`: {}", clean_text(&file.name), clean_text(note)));
                }
                read.push(file);
            }
            Err(error) => {
                wrong = Some(match wrong {
                    None => error,
                    Some(first) => first.caused_by(format!("also: {}", error.one_line())),
                });
            }
        }
    }
    wrong.map_or(Ok(read), Err)
}

/// Whether nothing fails and nothing is unknown.
pub(super) fn settled(judged: &[Judged<'_>]) -> bool {
    judge::count(judged, Verdict::Fail) + judge::count(judged, Verdict::Unknown) == 0
}

fn for_people(judged: &[Judged<'_>], policies: &policies::Offline, waivers: &[WaiverUse], wide: bool) -> String {
    let mut rows = Vec::new();
    for one in judged {
        for result in &one.results {
            let place = |line: usize| format!("{}:{line}", one.file.name);
            let mut row = |place: String, verdict: &str, message: String, fixable: &str| {
                rows.push(vec![
                    place,
                    verdict.to_owned(),
                    result.severity.as_str().to_owned(),
                    result.policy.to_string(),
                    message,
                    fixable.to_owned(),
                ]);
            };
            if result.verdict == Verdict::Unknown {
                let why = result.reason.as_ref().map_or_else(String::new, |reason| reason.message.clone());
                row(place(one.line("")), "unknown", why, "");
            }
            for finding in &result.findings {
                let (verdict, message) = match &finding.waiver {
                    Some(name) => {
                        let left = sentences::left(waivers, name);
                        ("waived", format!("{} (waived by `{name}`{left})", finding.message))
                    }
                    None => ("fail", finding.message.clone()),
                };
                row(place(one.line(&finding.path)), verdict, message, if finding.fixable { "yes" } else { "no" });
            }
            if wide && matches!(result.verdict, Verdict::Pass | Verdict::Skip) {
                row(place(one.line("")), result.verdict.as_str(), String::new(), "");
            }
        }
    }
    let mut text = table(&["PLACE", "VERDICT", "SEVERITY", "POLICY", "MESSAGE", "FIXABLE"], &rows);
    if !text.is_empty() {
        text.push('\n');
    }
    // A check of one file would name every Waiver of the fleet: those out of scope only where all is asked for.
    for line in sentences::to_look_after(waivers, wide, "in these files") {
        text.push_str(&clean_text(&line));
        text.push('\n');
    }
    let counts: Vec<String> = [Verdict::Pass, Verdict::Fail, Verdict::Waived, Verdict::Skip, Verdict::Unknown]
        .into_iter()
        .map(|verdict| format!("{} {}", judge::count(judged, verdict), verdict.as_str()))
        .collect();
    let only_definitions = judged.iter().all(|one| one.resource.kind == ResourceKind::TaskDefinition);
    let resources = match (only_definitions, judged.len()) {
        (true, 1) => "task definition",
        (true, _) => "task definitions",
        (false, 1) => "resource",
        (false, _) => "resources",
    };
    let count = policies.set.len();
    let plural = if count == 1 { "policy" } else { "policies" };
    text.push_str(&format!(
        "{} {resources}, {count} {plural} from {}: {}\n",
        judged.len(),
        clean_text(&policies.source),
        counts.join(", ")
    ));
    text
}
