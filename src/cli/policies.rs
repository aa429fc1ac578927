//! Files into objects into a compiled set, with everything that is wrong told at once.

use std::path::{Path, PathBuf};

use super::error::Error;
use super::files;
use super::output::talk;
use crate::manifest::{Diagnostic, Sourced, SpecProblem, locate, parse_files};
use crate::model::spec::Object;
use crate::policy::{PolicyError, PolicySet};

/// Where policies are looked for unless `-f` says otherwise.
const FOLDER: &str = "policies";

/// Reads objects from files and folders.
pub(super) fn read(paths: &[PathBuf], consequence: &str) -> Result<Vec<Sourced>, Error> {
    let files = files::read(paths)?;
    parse_files(&files).map_err(|found| refused(found, consequence))
}

/// Compiles `objects`; what is wrong with those that come from files is told with its place.
pub(super) fn compile(objects: &[Object], sourced: &[Sourced], consequence: &str) -> Result<PolicySet, Error> {
    let set = PolicySet::compile(objects).map_err(|errors| {
        let mut elsewhere = Vec::new();
        let mut places = Vec::new();
        for error in errors {
            match locate(sourced, &problem(&error)) {
                Some(diagnostic) => places.push(diagnostic),
                None => elsewhere.push(error.to_string()),
            }
        }
        places.sort_by(|one, other| (&one.file, one.line, one.column).cmp(&(&other.file, other.line, other.column)));
        elsewhere.into_iter().fold(refused(places, consequence), Error::caused_by)
    })?;
    for warning in set.warnings() {
        match locate(sourced, &problem(warning)) {
            Some(diagnostic) => talk(&format!("warning: {diagnostic}")),
            None => talk(&format!("warning: {warning}")),
        }
    }
    Ok(set)
}

fn problem(error: &PolicyError) -> SpecProblem {
    SpecProblem {
        kind: error.kind,
        name: error.name.clone(),
        pointer: error.pointer.clone(),
        offset: error.column.map(|column| column.saturating_sub(1)),
        message: error.message.clone(),
        help: error.help.clone(),
    }
}

fn refused(found: Vec<Diagnostic>, consequence: &str) -> Error {
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
    pub(super) source: String,
}

/// The objects of `-f`; without, those of `policies/` where that exists, else those built in.
///
/// # Errors
/// Bad input, or no policy at all.
pub(super) fn offline(paths: &[PathBuf]) -> Result<Offline, Error> {
    const CONSEQUENCE: &str = "nothing was judged";
    let (sourced, source) = if !paths.is_empty() {
        let names: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
        (read(paths, CONSEQUENCE)?, names.join(" "))
    } else if Path::new(FOLDER).is_dir() {
        (read(&[PathBuf::from(FOLDER)], CONSEQUENCE)?, format!("{FOLDER}/"))
    } else {
        let files: Vec<(String, Vec<u8>)> =
            BUILT_IN.iter().map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec())).collect();
        (parse_files(&files).map_err(|found| refused(found, CONSEQUENCE))?, "built-in".to_owned())
    };
    let objects: Vec<Object> = sourced.iter().map(|one| one.object.clone()).collect();
    let set = compile(&objects, &sourced, CONSEQUENCE)?;
    if set.is_empty() {
        return Err(Error::new(format!("no policy is in effect: there is none in `{source}`"))
            .help("name files or folders with policies with -f"));
    }
    Ok(Offline { set, objects, source })
}

/// The policies that are shipped, by path.
// The folder is filled by whoever writes policies; the list is held to it by a test there.
const BUILT_IN: &[(&str, &str)] = &[];
