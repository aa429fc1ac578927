//! `-f PATH…`: files, folders and `-`, in an order that does not depend on the machine.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::error::Error;

/// What a folder's files must end in to be read: other files in it are somebody else's.
const ENDINGS: [&str; 3] = ["yaml", "yml", "json"];
/// What the names of test files end in before that. In a folder they are for `test` alone.
const TEST: &str = ".test";

/// Names and bytes of files.
pub(super) type Files = Vec<(String, Vec<u8>)>;

/// A file's path, and the file.
type Found = (PathBuf, (String, Vec<u8>));

/// Names and bytes of all files that `paths` name, each once; folders are walked, but for test files, `-` is stdin.
///
/// # Errors
/// Where one cannot be read, or nothing is found.
pub(super) fn read(paths: &[PathBuf]) -> Result<Files, Error> {
    let found = all(paths, &|path| !is_test(path))?;
    Ok(found.into_iter().map(|(_, file)| file).collect())
}

/// The same with test files: first the files with objects, then those with tests.
///
/// # Errors
/// As [`read`].
pub(super) fn read_with_tests(paths: &[PathBuf]) -> Result<(Files, Files), Error> {
    let (tests, objects): (Vec<_>, Vec<_>) = all(paths, &|_| true)?.into_iter().partition(|(path, _)| is_test(path));
    let files = |found: Vec<Found>| found.into_iter().map(|(_, file)| file).collect();
    Ok((files(objects), files(tests)))
}

/// Whether it is called `….test.yaml`, `….test.yml` or `….test.json`.
fn is_test(path: &Path) -> bool {
    path.file_stem().is_some_and(|stem| stem.to_string_lossy().ends_with(TEST)) && has_ending(path)
}

fn has_ending(path: &Path) -> bool {
    path.extension().and_then(|ending| ending.to_str()).is_some_and(|ending| ENDINGS.contains(&ending))
}

fn all(paths: &[PathBuf], wanted: &dyn Fn(&Path) -> bool) -> Result<Vec<Found>, Error> {
    let mut files = Vec::new();
    let mut seen = BTreeSet::new();
    for path in paths {
        if path.as_os_str() == "-" {
            files.push((path.clone(), ("-".to_owned(), stdin()?)));
            continue;
        }
        let mut found = Vec::new();
        walk(path, true, &mut found)?;
        found.retain(|file| file == path || wanted(file));
        found.sort();
        if found.is_empty() {
            let message = format!("there is no .yaml, .yml or .json file in `{}`", path.display());
            return Err(Error::new(message).help("name a file, or a folder with policies in it"));
        }
        for file in found {
            if seen.insert(file.clone()) {
                let read = (file.display().to_string(), one(&file)?);
                files.push((file, read));
            }
        }
    }
    Ok(files)
}

/// The most bytes of a file to judge. Terraform prints some ten megabytes for a large estate.
const MAX_ONE: u64 = 64 * 1024 * 1024;

/// The name and bytes of one file to judge; `-` is stdin.
///
/// # Errors
/// Where it cannot be read, or does not end within 64 MiB.
pub(super) fn read_one(path: &Path) -> Result<(String, Vec<u8>), Error> {
    let is_stdin = path.as_os_str() == "-";
    let name = path.display().to_string();
    let mut bytes = Vec::new();
    let read = if is_stdin {
        std::io::stdin().lock().take(MAX_ONE + 1).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(MAX_ONE + 1).read_to_end(&mut bytes))
    };
    match read {
        Err(error) if is_stdin => Err(Error::new("failed to read stdin").caused_by(error.to_string())),
        Err(error) => Err(unreadable(path, &error)),
        Ok(count) if count as u64 > MAX_ONE => {
            Err(Error::new(format!("`{name}` is larger than 64 MiB")).help("give the part that has the ECS resources"))
        }
        Ok(_) => Ok((name, bytes)),
    }
}

fn one(path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|error| unreadable(path, &error))
}

fn stdin() -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    let read = std::io::stdin().lock().read_to_end(&mut bytes);
    read.map(|_| bytes).map_err(|error| Error::new("failed to read stdin").caused_by(error.to_string()))
}

fn walk(path: &Path, named: bool, found: &mut Vec<PathBuf>) -> Result<(), Error> {
    let metadata = std::fs::metadata(path).map_err(|error| unreadable(path, &error))?;
    if metadata.is_dir() {
        let entries = std::fs::read_dir(path).map_err(|error| unreadable(path, &error))?;
        for entry in entries {
            let entry = entry.map_err(|error| unreadable(path, &error))?;
            // A link to a folder above would be walked for ever, and `.git` is nobody's policy.
            let link = entry.file_type().is_ok_and(|kind| kind.is_symlink()) && entry.path().is_dir();
            if !link && !entry.file_name().to_string_lossy().starts_with('.') {
                walk(&entry.path(), false, found)?;
            }
        }
        return Ok(());
    }
    if named || has_ending(path) {
        found.push(path.to_owned());
    }
    Ok(())
}

fn unreadable(path: &Path, error: &std::io::Error) -> Error {
    let error_of_file = Error::new(format!("failed to read `{}`", path.display())).caused_by(error.to_string());
    match error.kind() {
        std::io::ErrorKind::NotFound => error_of_file.help("check the path; paths are relative to the current folder"),
        std::io::ErrorKind::PermissionDenied => error_of_file.help("check who may read it"),
        std::io::ErrorKind::IsADirectory => error_of_file
            .help("name the files in it, such as `task-definition.json` or `templates/*.yaml`; folders are for -f, which takes policies"),
        _ => error_of_file,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_walked_in_order_and_other_files_are_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("b")).unwrap();
        std::fs::create_dir(folder.path().join(".git")).unwrap();
        for name in ["z.yml", "b/c.json", "a.yaml", "README.md", ".git/x.yaml"] {
            std::fs::write(folder.path().join(name), name).unwrap();
        }
        let twice = [folder.path().to_owned(), folder.path().join("a.yaml")];
        let found: Vec<_> =
            read(&twice).unwrap().into_iter().map(|(_, bytes)| String::from_utf8(bytes).unwrap()).collect();
        assert_eq!(found, ["a.yaml", "b/c.json", "z.yml"]);
    }

    #[test]
    fn a_file_that_is_named_is_read_whatever_it_ends_in() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("policy.txt");
        std::fs::write(&path, "x").unwrap();
        assert_eq!(read(&[path]).unwrap().len(), 1);
    }

    #[test]
    fn test_files_are_for_tests_alone() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a.yaml", "a.test.yaml", "b.test.json", "test.yml", "a.test"] {
            std::fs::write(folder.path().join(name), name).unwrap();
        }
        let names =
            |files: Files| files.into_iter().map(|(_, bytes)| String::from_utf8(bytes).unwrap()).collect::<Vec<_>>();
        let here = [folder.path().to_owned()];
        assert_eq!(names(read(&here).unwrap()), ["a.yaml", "test.yml"]);
        let (objects, tests) = read_with_tests(&here).unwrap();
        assert_eq!(
            (names(objects), names(tests)),
            (vec!["a.yaml".into(), "test.yml".into()], vec!["a.test.yaml".into(), "b.test.json".into()])
        );
        assert_eq!(read(&[folder.path().join("a.test.yaml")]).unwrap().len(), 1, "what is named is read");
    }

    #[test]
    fn an_empty_folder_is_told() {
        let folder = tempfile::tempdir().unwrap();
        assert!(read(&[folder.path().to_owned()]).unwrap_err().one_line().contains("no .yaml, .yml or .json"));
    }
}
