//! Files into objects into a compiled set, with everything that is wrong told at once.

use std::path::{Path, PathBuf};

use super::error::Error;
use super::files;
use super::output::talk;
use crate::manifest::{Diagnostic, Sourced, SourcedCase, locate, parse_cases, parse_files};
use crate::model::Timestamp;
use crate::model::spec::{Kind, Object, ResourceKind, Spec};
use crate::policy::builtin;
use crate::policy::{PolicyError, PolicySet, ScopeKeys, Subject, evaluate, guarded_members, run_examples, too_long};

/// Where policies are looked for unless `-f` says otherwise.
const FOLDER: &str = "policies";

/// Reads objects from files and folders.
pub(super) fn read(paths: &[PathBuf], consequence: &str) -> Result<Vec<Sourced>, Error> {
    let files = files::read(paths)?;
    parse_files(&files).map_err(|found| refused(found, consequence))
}

/// Compiles `objects`; what is wrong with those that come from files is told with its place.
pub(super) fn compile(objects: &[Object], sourced: &[Sourced], consequence: &str) -> Result<PolicySet, Error> {
    let set = PolicySet::compile(objects).map_err(|errors| placed(&errors, sourced, consequence))?;
    for warning in set.warnings() {
        match locate(sourced, warning) {
            Some(diagnostic) => talk(&format!("warning: {diagnostic}")),
            None => talk(&format!("warning: {warning}")),
        }
    }
    Ok(set)
}

/// Refuses Waivers that last longer than a year and do not say why, by the time at which they are applied. What is
/// stored is not asked again.
pub(super) fn hold_to_a_year(sourced: &[Sourced], now: Timestamp, consequence: &str) -> Result<(), Error> {
    let objects: Vec<Object> = sourced.iter().map(|one| one.object.clone()).collect();
    let errors = too_long(&objects, now);
    if errors.is_empty() { Ok(()) } else { Err(placed(&errors, sourced, consequence)) }
}

/// Warns of Waivers that have ended: files that are applied again and again may hold them, and they do nothing.
pub(super) fn warn_of_expired(sourced: &[Sourced], now: Timestamp) {
    for object in sourced.iter().map(|one| &one.object) {
        if let Spec::Waiver(spec) = &object.spec
            && !spec.in_force(now)
        {
            talk(&format!(
                "warning: waiver `{}` expired at {}: it waives nothing",
                object.metadata.name, spec.expires_at
            ));
        }
    }
}

/// The errors as one, each with its place where it has one.
fn placed(errors: &[PolicyError], sourced: &[Sourced], consequence: &str) -> Error {
    let mut elsewhere = Vec::new();
    let mut places = Vec::new();
    for error in errors {
        match locate(sourced, error) {
            Some(diagnostic) => places.push(diagnostic),
            None => elsewhere.push(error.to_string()),
        }
    }
    places.sort_by(|one, other| (&one.file, one.line, one.column).cmp(&(&other.file, other.line, other.column)));
    elsewhere.into_iter().fold(refused(places, consequence), Error::caused_by)
}

/// Runs the examples of the policies that come from files: the law of fixes is checked before a policy is stored.
pub(super) fn hold_to_examples(sourced: &[Sourced], consequence: &str) -> Result<(), Error> {
    let mut errors = Vec::new();
    for object in sourced.iter().map(|one| &one.object) {
        let Spec::Policy(spec) = &object.spec else { continue };
        match run_examples(&object.metadata.name, spec) {
            Err(wrong) => errors.extend(wrong),
            Ok(outcomes) => {
                for outcome in outcomes {
                    errors.extend(outcome.problems.iter().map(|problem| PolicyError {
                        kind: Kind::Policy,
                        name: outcome.policy.clone(),
                        pointer: outcome.pointer.clone(),
                        column: None,
                        message: format!("example `{}`: {problem}", outcome.example),
                        help: Some("see `plimsoll test`".to_owned()),
                    }));
                }
            }
        }
    }
    if errors.is_empty() { Ok(()) } else { Err(placed(&errors, sourced, consequence)) }
}

/// Warns of fixes that the controller will not make unless it is started with `--allow-edit`. Told from the examples,
/// because what a fix touches is told from a document.
pub(super) fn warn_of_guarded(set: &PolicySet, sourced: &[Sourced], now: Timestamp) {
    let scope = ScopeKeys::default();
    for object in sourced.iter().map(|one| &one.object) {
        let Spec::Policy(spec) = &object.spec else { continue };
        if spec.resource != ResourceKind::TaskDefinition {
            continue;
        }
        let mut guarded = std::collections::BTreeSet::new();
        for example in &spec.examples {
            let subject = Subject {
                kind: spec.resource,
                resource: &example.given,
                tags: Some(&example.tags),
                service: example.service.as_ref(),
                cluster: example.cluster.as_ref(),
                running: example.running.as_ref(),
                target: None,
                scope: &scope,
            };
            let results = evaluate(set, &subject, now);
            let fixes = results
                .iter()
                .filter(|result| *result.policy == *object.metadata.name)
                .flat_map(|result| &result.fixes);
            guarded.extend(fixes.flat_map(|fix| guarded_members(fix, &[])));
        }
        if !guarded.is_empty() {
            let flags: Vec<String> = guarded.iter().map(|pointer| format!("--allow-edit '{pointer}'")).collect();
            talk(&format!(
                "warning: the fix of policy `{}` edits guarded members: a controller reports it as blocked (GuardedMember) unless it is started with {}",
                object.metadata.name,
                flags.join(" ")
            ));
        }
    }
}

pub(super) fn refused(found: Vec<Diagnostic>, consequence: &str) -> Error {
    let message = match found.len() {
        0 => format!("the objects do not fit together; {consequence}"),
        1 => format!("1 problem; {consequence}"),
        many => format!("{many} problems; {consequence}"),
    };
    Error::input(message, found)
}

/// Policies for judging files, and where they come from.
pub(super) struct Offline {
    pub(super) set: PolicySet,
    pub(super) objects: Vec<Object>,
    /// The same, with their places.
    pub(super) sourced: Vec<Sourced>,
    pub(super) source: String,
}

const NOTHING_JUDGED: &str = "nothing was judged";

/// The objects of `-f`; without, those of `policies/` where that exists, else those built in. Waivers are held to a year
/// from `now`, as `apply` holds them.
///
/// # Errors
/// Bad input, or no policy at all.
pub(super) fn offline(paths: &[PathBuf], now: Timestamp) -> Result<Offline, Error> {
    if !paths.is_empty() {
        return of_files(&files::read(paths)?, named(paths), now);
    }
    if Path::new(FOLDER).is_dir() {
        return of_files(&files::read(&[PathBuf::from(FOLDER)])?, format!("{FOLDER}/"), now);
    }
    let built_in: Vec<(String, Vec<u8>)> =
        builtin::FILES.iter().map(|file| (file.path.to_owned(), file.text.as_bytes().to_vec())).collect();
    of_files(&built_in, "built-in".to_owned(), now)
}

/// Policies and the tests that are written apart from them. Paths without any policy are tests of the policies that
/// [`offline`] takes without paths.
///
/// # Errors
/// As [`offline`].
pub(super) fn with_tests(paths: &[PathBuf], now: Timestamp) -> Result<(Offline, Vec<SourcedCase>), Error> {
    let (paths, source) = match paths {
        [] if Path::new(FOLDER).is_dir() => (vec![PathBuf::from(FOLDER)], format!("{FOLDER}/")),
        [] => return Ok((offline(&[], now)?, Vec::new())),
        paths => (paths.to_vec(), named(paths)),
    };
    let (objects, tests) = files::read_with_tests(&paths)?;
    let policies = if objects.is_empty() { offline(&[], now)? } else { of_files(&objects, source, now)? };
    let cases = parse_cases(&tests).map_err(|found| refused(found, "nothing was tested"))?;
    Ok((policies, cases))
}

fn named(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(" ")
}

fn of_files(files: &[(String, Vec<u8>)], source: String, now: Timestamp) -> Result<Offline, Error> {
    let sourced = parse_files(files).map_err(|found| refused(found, NOTHING_JUDGED))?;
    let objects: Vec<Object> = sourced.iter().map(|one| one.object.clone()).collect();
    let set = compile(&objects, &sourced, NOTHING_JUDGED)?;
    // What `apply` refuses must not make a file pass.
    hold_to_a_year(&sourced, now, NOTHING_JUDGED)?;
    if set.is_empty() {
        return Err(Error::new(format!("no policy is in effect: there is none in `{source}`"))
            .help("name files or folders with policies with -f"));
    }
    Ok(Offline { set, objects, sourced, source })
}
