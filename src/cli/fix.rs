//! `fix FILE`: the same fixes as the controller's, offline, as edits that leave the rest of the file alone.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::Value;
use similar::TextDiff;

use super::error::{Answer, Error};
use super::offline::patch::{self, ByHand};
use super::offline::text::JsonText;
use super::offline::{Assumed, InputFile, Judged, Origin, Resource, edit, judge};
use super::output::{Format, talk};
use super::printed::Printed;
use super::report::difference;
use super::reports::{FixReport, FixedFile, FixedView};
use super::run::Session;
use super::{check, policies, views};
use crate::model::mask::{MASKED, clean_text, mask_value};
use crate::model::{DiffEntry, Timestamp, Verdict};
use crate::policy::{PlannedFix, PolicyResult, PolicySet, apply_fixes, evaluate};

/// What to fix, and by what.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// As for `check`; `-` for stdin, which --write writes to stdout
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Change JSON in ECS's own shapes; what no fix names keeps its every byte. For other files, the edits to make by hand
    #[arg(long, conflicts_with = "diff")]
    write: bool,
    /// Show a unified diff, values that may be secret masked
    #[arg(long)]
    diff: bool,
    /// Policies, Bindings and Waivers; by default policies/, else those built in
    #[arg(short, long = "filename", value_name = "PATH", num_args = 1)]
    filename: Vec<PathBuf>,
    /// Where it would run, for scopes: cluster=prod-a,tags.env=prod
    #[arg(long, value_name = "KEY=VALUE,…", default_value = "", hide_default_value = true)]
    assume: Assumed,
}

/// What fixing makes of one resource.
struct FixedResource<'a> {
    resource: &'a Resource,
    document: Value,
    diff: Vec<DiffEntry>,
    left: Vec<String>,
}

pub(super) fn run(session: &mut Session, arguments: &Arguments) -> Result<Answer, Error> {
    session.output.only(&[Format::Table, Format::Wide, Format::Json, Format::Yaml])?;
    let policies = policies::offline(&arguments.filename, session.now())?;
    let files = check::read(&arguments.files)?;
    let now = session.now();
    let mut reports = Vec::new();
    let mut all_done = true;
    for file in &files {
        let judged = judge::judge(&policies.set, std::slice::from_ref(file), &arguments.assume, now);
        let fixed: Vec<FixedResource<'_>> =
            judged.iter().map(|one| fix(&policies.set, one, &arguments.assume, now)).collect();
        let changes = fixed.iter().any(|one| !one.diff.is_empty());
        // Only JSON in ECS's own shapes is written; the patch for others is printed, and until somebody applies it
        // they fail as before.
        let refused = arguments.write && changes && !patch::is_writable(file);
        all_done &= !refused && !file.has_failures && fixed.iter().all(|one| one.left.is_empty());
        match session.output.format() {
            Format::Json | Format::Yaml => {}
            _ if arguments.diff => session.output.text(&unified(file, &fixed)?)?,
            _ if arguments.write && file.name == "-" && !refused => {}
            _ => session.output.text(&in_words(file, &fixed, arguments.write))?,
        }
        if refused {
            talk(&format!(
                "`{}` was left as it is: it is {}; make the changes by hand",
                clean_text(&file.name),
                patch::noun(file)
            ));
        } else if arguments.write {
            write(session, file, &fixed)?;
        }
        let by_hand = !patch::is_writable(file);
        let view = |one: &FixedResource<'_>| {
            let edits = by_hand.then(|| patch::by_hand(file, one.resource, &one.diff));
            FixedView::of(&one.resource.name, &one.diff, &one.left, edits)
        };
        reports.push(FixedFile { file: file.name.clone(), resources: fixed.iter().map(view).collect() });
    }
    if matches!(session.output.format(), Format::Json | Format::Yaml)
        && !(arguments.write && files.iter().any(|file| file.name == "-"))
    {
        session.output.value(&FixReport { written: arguments.write, files: reports }.to_json())?;
    }
    Ok(Answer::of(all_done))
}

fn fix<'a>(set: &PolicySet, judged: &Judged<'a>, assumed: &Assumed, now: Timestamp) -> FixedResource<'a> {
    let resource = judged.resource;
    let fixable = judged.results.iter().filter(|result| result.conflict.is_none());
    let fixes: Vec<&PlannedFix> = fixable.flat_map(|result| &result.fixes).collect();
    let unchanged = |left| FixedResource { resource, document: resource.document.clone(), diff: Vec::new(), left };
    if fixes.is_empty() {
        return unchanged(left(&judged.results));
    }
    let fixed = judge::with_subject(judged.file, resource, &resource.document, assumed, |subject| {
        apply_fixes(set, subject, &judged.results, &fixes, now)
    });
    match fixed {
        Err(error) => {
            let mut left = left(&judged.results);
            left.push(error.reason().to_string());
            unchanged(left)
        }
        Ok(fixed) => {
            let after = judge::with_subject(judged.file, resource, &fixed.document, assumed, |subject| {
                evaluate(set, subject, now)
            });
            FixedResource { resource, document: fixed.document, diff: fixed.diff, left: left(&after) }
        }
    }
}

/// What fails or is unknown, in sentences.
fn left(results: &[PolicyResult]) -> Vec<String> {
    let mut left = Vec::new();
    for result in results {
        match result.verdict {
            Verdict::Unknown => {
                let why = result.reason.as_ref().map_or("it could not be evaluated", |reason| &reason.message);
                left.push(format!("unknown {}: {why}", result.policy));
            }
            Verdict::Fail => {
                let unwaived = result.findings.iter().filter(|finding| finding.waiver.is_none());
                left.extend(
                    unwaived
                        .map(|finding| format!("{} {}: {}", result.severity.as_str(), result.policy, finding.message)),
                );
            }
            Verdict::Pass | Verdict::Waived | Verdict::Skip => {}
        }
    }
    left
}

fn in_words(file: &InputFile, fixed: &[FixedResource<'_>], written: bool) -> String {
    let mut text = String::new();
    let writable = patch::is_writable(file);
    for one in fixed {
        let count = one.diff.len();
        let changes = if count == 1 { "change" } else { "changes" };
        let what = match (count, writable, written) {
            (0, ..) => "nothing to change".to_owned(),
            (_, false, _) => format!("{count} {changes} to make by hand"),
            (_, true, true) => format!("{count} {changes} made"),
            (_, true, false) => format!("{count} {changes} to make; --write makes them, --diff shows them"),
        };
        text.push_str(&format!("{}: {what}\n", clean_text(&one.resource.name)));
        if writable {
            for entry in views::masked(&one.diff) {
                text.push_str(&format!("  {}\n", difference(&entry)));
            }
        } else {
            let edits: Vec<ByHand> = patch::by_hand(file, one.resource, &one.diff);
            text.push_str(&patch::in_words(file, &edits));
        }
        for left in &one.left {
            text.push_str(&format!("  left: {}\n", clean_text(left)));
        }
    }
    text
}

/// The file's text with all fixes made in place, proved to be the documents that are wanted and nothing else.
fn edited(file: &InputFile, before: &JsonText, fixed: &[FixedResource<'_>]) -> Result<JsonText, Error> {
    let mut json = before.clone();
    let mut wanted = before.value.clone();
    for one in fixed.iter().filter(|one| !one.diff.is_empty()) {
        let Origin::Bare { prefix, tags } = &one.resource.origin else { return Err(not_kept(file)) };
        let mut document = one.document.clone();
        if let (Some(around), Value::Object(members)) = (tags.strip_suffix("/tags"), &mut document)
            && around != prefix
        {
            // The tags stand beside the document, and what the file has as `tags` inside it stays.
            let beside = members.shift_remove("tags");
            if let (Some(beside), Some(Value::Object(around))) = (beside, wanted.pointer_mut(around)) {
                around.insert("tags".to_owned(), beside);
            }
            if let Some(inside) = wanted.pointer(prefix).and_then(|there| there.get("tags")) {
                members.insert("tags".to_owned(), inside.clone());
            }
        }
        if let Some(there) = wanted.pointer_mut(prefix) {
            *there = document;
        }
        let own = |path: &str| one.resource.origin.own(path);
        json = edit::apply(&json, own, &one.diff).ok_or_else(|| not_kept(file))?;
    }
    if json.value == wanted { Ok(json) } else { Err(not_kept(file)) }
}

fn not_kept(file: &InputFile) -> Error {
    Error::new(format!(
        "`{}` was left as it is: the fixes cannot be made without touching the rest of the text",
        file.name
    ))
    .help("see the changes without --write and make them by hand")
}

fn write(session: &mut Session, file: &InputFile, fixed: &[FixedResource<'_>]) -> Result<(), Error> {
    // Where there is nothing to change, a file of any shape is as it should be.
    let Some(before) = file.source.json() else { return Ok(()) };
    let json = edited(file, before, fixed)?;
    if file.name == "-" {
        // Whoever asks to write what came on stdin wants the whole document back.
        return session.output.text(&json.text);
    }
    if json.text == before.text {
        return Ok(());
    }
    replace(Path::new(&file.name), &json.text)?;
    talk(&format!("wrote {}", file.name));
    Ok(())
}

/// Replaces a file's text so that at no instant half of it is there, and keeps who may read it.
fn replace(path: &Path, text: &str) -> Result<(), Error> {
    let failed = |error: std::io::Error| {
        Error::new(format!("failed to write `{}`", path.display())).caused_by(error.to_string())
    };
    // Through a link to the file itself: the link stays.
    let path = path.canonicalize().map_err(failed)?;
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".plimsoll-new");
    let beside = path.with_file_name(name);
    std::fs::write(&beside, text).map_err(failed)?;
    let permissions = std::fs::metadata(&path).map_err(failed)?.permissions();
    let moved = std::fs::set_permissions(&beside, permissions).and_then(|()| std::fs::rename(&beside, &path));
    moved.map_err(|error| {
        let _ = std::fs::remove_file(&beside);
        failed(error)
    })
}

/// The file before and after; where it is not in ECS's own shape, each document in ECS's words.
fn unified(file: &InputFile, fixed: &[FixedResource<'_>]) -> Result<String, Error> {
    let name = clean_text(&file.name);
    if let (true, Some(before)) = (patch::is_writable(file), file.source.json()) {
        let after = edited(file, before, fixed)?;
        let prefixes: Vec<&str> = file
            .resources
            .iter()
            .flat_map(|resource| match &resource.origin {
                // Tags that stand beside are shown as those among the members are.
                Origin::Bare { prefix, tags } => vec![prefix.as_str(), tags.strip_suffix("/tags").unwrap_or(prefix)],
                Origin::Converted { .. } => Vec::new(),
            })
            .collect();
        let (old, new) = (masked(before, &prefixes), masked(&after, &prefixes));
        return Ok(TextDiff::from_lines(&old, &new).unified_diff().header(&name, &name).to_string());
    }
    let mut text = String::new();
    for one in fixed.iter().filter(|one| !one.diff.is_empty()) {
        let (old, new) = (in_words_of_ecs(&one.resource.document)?, in_words_of_ecs(&one.document)?);
        let name = clean_text(&one.resource.name);
        text.push_str(&TextDiff::from_lines(&old, &new).unified_diff().header(&name, &name).to_string());
    }
    Ok(text)
}

fn in_words_of_ecs(document: &Value) -> Result<String, Error> {
    let failed = |why: String| Error::new("failed to show the document").caused_by(why);
    let text = serde_json::to_string_pretty(document).map_err(|error| failed(error.to_string()))?;
    let json = JsonText::parse(text).map_err(|error| failed(error.to_string()))?;
    Ok(masked(&json, &[""]) + "\n")
}

/// The text with every string that may be a secret replaced.
fn masked(json: &JsonText, prefixes: &[&str]) -> String {
    let mut hidden = Vec::new();
    for (pointer, place) in json.places() {
        let Some(value @ Value::String(_)) = json.value.pointer(&pointer) else { continue };
        let inside = prefixes.iter().filter_map(|prefix| pointer.strip_prefix(prefix)).min_by_key(|rest| rest.len());
        if mask_value(inside.unwrap_or(&pointer), value) == MASKED {
            hidden.push(place.value.clone());
        }
    }
    hidden.sort_by_key(|range| range.start);
    let mut text = String::with_capacity(json.text.len());
    let mut at = 0;
    for range in hidden {
        text.push_str(json.text.get(at..range.start).unwrap_or(""));
        text.push_str(&format!("\"{MASKED}\""));
        at = range.end;
    }
    text.push_str(json.text.get(at..).unwrap_or(""));
    text.split_inclusive('\n').map(|line| clean_text(line) + if line.ends_with('\n') { "\n" } else { "" }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_masked_in_place() {
        let text = "{\n  \"family\": \"web\",\n  \"containerDefinitions\": [{ \"command\": [\"--password\", \"s3cret\"], \"image\": \"a\" }],\n  \"odd\": \"s3cret\"\n}\n";
        let json = JsonText::parse(text.to_owned()).unwrap();
        let shown = masked(&json, &[""]);
        assert!(
            !shown.contains("s3cret") && shown.contains("\"family\": \"web\"") && shown.lines().count() == 5,
            "{shown}"
        );
        let wrapped = JsonText::parse(format!("{{ \"taskDefinition\": {text} }}")).unwrap();
        let shown = masked(&wrapped, &["/taskDefinition"]);
        assert!(!shown.contains("s3cret") && shown.contains("\"image\": \"a\""), "{shown}");
    }
}
