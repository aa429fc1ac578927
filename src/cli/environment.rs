//! What the environment says of AWS that cannot be meant, told before anything is tried. The SDK would go on to look
//! elsewhere, and what it says in the end names something else. The AWS command line refuses the same.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::error::Error;

/// What is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    /// In a sentence.
    pub(super) message: String,
    /// What to do about it.
    pub(super) help: &'static str,
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        Self::new(fault.message).help(fault.help)
    }
}

/// Looks at this process's environment, and at the names of the profiles that it leads to.
pub(super) fn look() -> Result<(), Fault> {
    let variables: BTreeMap<String, String> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, value)| (name.starts_with("AWS_") || name == "HOME") && !value.is_empty())
        .collect();
    let read = |variable: &str, usual: &str| {
        let at_home = |path: &str| variables.get("HOME").map(|home| PathBuf::from(home).join(path));
        let path = match variables.get(variable) {
            // As the SDK reads it where no shell did.
            Some(path) => path.strip_prefix("~/").and_then(at_home).or_else(|| Some(PathBuf::from(path))),
            None => at_home(usual),
        };
        let bytes = path.and_then(|path| std::fs::read(path).ok()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned() + "\n"
    };
    let files =
        [read("AWS_CONFIG_FILE", ".aws/config"), read("AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials")].concat();
    fault(&variables, &files).map_or(Ok(()), Err)
}

/// The first fault. `files`: the text of the files that have profiles.
fn fault(variables: &BTreeMap<String, String>, files: &str) -> Option<Fault> {
    for (name, value) in variables.iter().filter(|(name, _)| name.starts_with("AWS_ENDPOINT_URL")) {
        if !is_url(value) {
            let help = "write it with its scheme, such as http://localhost:4566";
            return Some(Fault { message: format!("`{name}` is `{value}`, which is no URL"), help });
        }
    }
    let pair = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY");
    for (name, other) in [pair, (pair.1, pair.0)] {
        if variables.contains_key(name) && !variables.contains_key(other) {
            let help = "set both, or neither of them";
            return Some(Fault { message: format!("`{name}` is set, and `{other}` is not"), help });
        }
    }
    let profile = variables.get("AWS_PROFILE").filter(|name| *name != "default")?;
    let known = files.lines().filter_map(profile_of).any(|name| name == profile);
    let help = "`aws configure list-profiles` has those that there are; AWS_CONFIG_FILE and \
                AWS_SHARED_CREDENTIALS_FILE say where they are looked for";
    (!known)
        .then(|| Fault { message: format!("there is no AWS profile `{profile}`, and `AWS_PROFILE` names it"), help })
}

fn is_url(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    ["http://", "https://"].iter().any(|scheme| text.strip_prefix(scheme).is_some_and(|rest| !rest.is_empty()))
}

/// The profile that a line begins: `[profile NAME]`, `[NAME]` (AWS SDKs Reference Guide, "Format of the config file").
fn profile_of(line: &str) -> Option<&str> {
    let name = line.trim().strip_prefix('[')?.split(']').next()?.trim();
    let name = name.strip_prefix("profile").filter(|rest| rest.starts_with(char::is_whitespace)).unwrap_or(name);
    Some(name.trim().trim_matches(['"', '\'']))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILES: &str =
        "[default]\nregion = x\n[profile dev]\n[ profile \"with space\" ]\n# [profile commented]\n[keys]\n";

    fn of(variables: &[(&str, &str)]) -> Option<String> {
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        fault(&variables, FILES).map(|fault| fault.message)
    }

    #[test]
    fn what_cannot_be_meant_is_named() {
        for (variables, told) in [
            (&[("AWS_ENDPOINT_URL", "localhost:4566")][..], "`AWS_ENDPOINT_URL` is `localhost:4566`"),
            (&[("AWS_ENDPOINT_URL_ECS", "http://")], "`AWS_ENDPOINT_URL_ECS` is `http://`"),
            (&[("AWS_ACCESS_KEY_ID", "a")], "`AWS_ACCESS_KEY_ID` is set, and `AWS_SECRET_ACCESS_KEY` is not"),
            (&[("AWS_SECRET_ACCESS_KEY", "s")], "`AWS_SECRET_ACCESS_KEY` is set, and `AWS_ACCESS_KEY_ID` is not"),
            (&[("AWS_PROFILE", "devv")], "there is no AWS profile `devv`"),
            (&[("AWS_PROFILE", "commented")], "there is no AWS profile `commented`"),
        ] {
            let found = of(variables).unwrap();
            assert!(found.starts_with(told), "{found}");
            assert!(!found.contains("`s`"), "{found}");
        }
    }

    #[test]
    fn what_the_sdk_takes_is_left_to_it() {
        for variables in [
            &[][..],
            &[("AWS_ENDPOINT_URL", "HTTP://localhost:4566"), ("AWS_ENDPOINT_URL_STS", "https://sts.example")],
            &[("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "s")],
            &[("AWS_PROFILE", "dev")],
            &[("AWS_PROFILE", "keys")],
            &[("AWS_PROFILE", "with space")],
            &[("AWS_PROFILE", "default")],
        ] {
            assert_eq!(of(variables), None, "{variables:?}");
        }
    }
}
