//! Completions, as shells use them.

use std::process::Command;

use crate::cli::Plimsoll;

/// What bash offers for the last word.
fn offered(words: &str) -> String {
    let script = format!(
        "source <(plimsoll completion bash); COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); \
         _plimsoll plimsoll \"${{COMP_WORDS[-1]}}\" \"${{COMP_WORDS[-2]}}\"; echo \"${{COMPREPLY[@]}}\""
    );
    let binary = std::path::Path::new(env!("CARGO_BIN_EXE_plimsoll")).parent().unwrap();
    let path = format!("{}:/usr/bin:/bin", binary.display());
    let output = Command::new("bash").args(["--norc", "-c", &script]).env_clear().env("PATH", path).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn bash_completes_verbs_flags_and_what_flags_take() {
    for (words, expected) in [
        ("plimsoll contr", "controller"),
        ("plimsoll rollout un", "undo"),
        ("plimsoll controller --until-s", "--until-settled"),
        ("plimsoll completion po", "powershell"),
    ] {
        assert_eq!(offered(words), expected, "{words}");
    }
}

#[test]
fn every_shell_is_told_of_every_verb() {
    let plimsoll = Plimsoll::new();
    let help = plimsoll.run(&["--help"]).exits(0).stdout;
    let verbs: Vec<&str> = help
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.strip_prefix("  ")?.split("  ").next())
        .filter(|verb| !verb.is_empty())
        .collect();
    assert!(verbs.len() > 20, "{verbs:?}");
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = plimsoll.run(&["completion", shell]).exits(0).stdout;
        for verb in &verbs {
            assert!(script.contains(verb), "{shell}: {verb}");
        }
    }
}
