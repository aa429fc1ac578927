//! What is not run, and why: all of it, so that none is left out in silence.

use super::markdown::{Directive, Fate};
use super::stated::stated;
use super::{blocks, guides};

#[test]
fn every_block_is_run_saved_or_shown_or_says_why_it_is_not_run() {
    let mut not_run = Vec::new();
    for guide in guides() {
        for block in blocks(&guide) {
            match block.fate().unwrap_or_else(|error| panic!("{error}")) {
                Fate::Run => {
                    assert!(!stated(&block.language, &block.lines).is_empty(), "{}: nothing to type", block.place)
                }
                Fate::Saved(name) => {
                    assert!(!name.starts_with('/') && !name.contains(".."), "{}: {name}", block.place);
                }
                Fate::NotRun(why) => not_run.push(format!("{guide}: {}: {why}", block.lines[0])),
                Fate::Shown => assert!(
                    !block.lines.iter().any(|line| line.trim_start_matches("$ ").starts_with("plimsoll ")),
                    "{}: commands are no `text`",
                    block.place
                ),
            }
            for directive in &block.directives {
                if let Directive::Here { code, command, why } = directive {
                    assert!(block.lines.iter().any(|line| line.contains(command)), "{}: no `{command}`", block.place);
                    not_run.push(format!("{guide}: {command}: {code} here: {why}"));
                }
            }
        }
    }
    insta::assert_snapshot!(not_run.join("\n"), @r#"
    README.md: cargo run -- demo      # the whole loop on a simulated fleet; needs nothing but Rust: cargo builds; what it builds is run as a demonstration by tests/it/binary/demo.rs
    README.md: cargo build: the tests have built it
    README.md: plimsoll doctor: 1 here: ministack has no StopServiceDeployment, and untags what is not there
    README.md: health: { progressTimeout: 20m, alarms: [payments-5xx, { tags: { service: payments } }] }: a part of a RolloutStrategy
    deploy/README.md: docker buildx build --platform linux/amd64,linux/arm64 --tag REGISTRY/plimsoll:0.1.0 --push .: it needs a Docker engine
    deploy/README.md: aws cloudformation deploy --stack-name plimsoll --template-file deploy/cloudformation/plimsoll.yaml \: it needs an AWS account
    deploy/README.md: module "plimsoll" {: it needs an AWS account, and Terraform
    deploy/README.md: aws ecs run-task --cluster plimsoll --task-definition plimsoll --launch-type FARGATE \: it needs an AWS account
    docs/permissions.md: aws iam create-policy --policy-name plimsoll-freeze --policy-document file://freeze.json: it needs an AWS account
    "#);
}
