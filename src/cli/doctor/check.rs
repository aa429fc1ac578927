//! What was found, and what is said of it. Asks nobody.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

use super::statement::{self, Statement};
use crate::cli::error::Answer;
use crate::cli::printed::Printed;
use crate::model::TargetId;
use crate::model::mask::clean_text;

/// What a check is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) enum Area {
    /// Region, endpoint, credentials and whose they are.
    Connection,
    /// The machine's clock.
    Clock,
    /// The table or file, and its settings.
    Store,
    /// What is in force.
    Policies,
    /// A Target: its role and identity.
    Target,
    /// What the credentials permit.
    Permission,
}

impl Area {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Connection => "connection",
            Self::Clock => "clock",
            Self::Store => "store",
            Self::Policies => "policies",
            Self::Target => "target",
            Self::Permission => "permission",
        }
    }
}

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) enum Status {
    /// As it should be.
    Ok,
    /// Worth knowing, and in nobody's way.
    Note,
    /// A controller cannot work as it should.
    Wrong,
    /// It could not be told.
    Unknown,
    /// It cannot be told without changing something.
    NotChecked,
}

impl Status {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Wrong => "wrong",
            Self::Unknown => "unknown",
            Self::NotChecked => "not checked",
        }
    }
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(super) struct Check {
    /// What it is about.
    pub(super) area: Area,
    /// What was looked at: `ecs:UpdateService`, `deletion protection`, …
    pub(super) check: String,
    /// Where, for what is of one account and region.
    pub(super) target: Option<TargetId>,
    /// How it came out.
    pub(super) status: Status,
    /// In a sentence.
    pub(super) message: String,
    /// What to do about it.
    pub(super) remedy: Option<String>,
    /// The IAM statement that is missing.
    pub(super) statement: Option<Statement>,
}

impl Check {
    pub(super) fn new(area: Area, check: impl Into<String>, status: Status, message: impl Into<String>) -> Self {
        Self {
            area,
            check: check.into(),
            target: None,
            status,
            // From outside: error messages of servers, names of profiles.
            message: clean_text(&message.into()),
            remedy: None,
            statement: None,
        }
    }

    pub(super) fn ok(area: Area, check: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(area, check, Status::Ok, message)
    }

    pub(super) fn wrong(area: Area, check: impl Into<String>, message: impl Into<String>, remedy: &str) -> Self {
        Self::new(area, check, Status::Wrong, message).remedy(remedy)
    }

    pub(super) fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    pub(super) fn missing(mut self, statement: Option<Statement>) -> Self {
        self.statement = statement;
        self
    }

    pub(super) fn at(mut self, target: &TargetId) -> Self {
        self.target = Some(target.clone());
        self
    }
}

/// How many checks came out how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Summary {
    /// As it should be.
    ok: usize,
    /// Worth knowing.
    note: usize,
    /// In the way.
    wrong: usize,
    /// Not told.
    unknown: usize,
    /// Not checked.
    not_checked: usize,
}

/// What `doctor` says.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(in crate::cli) struct DoctorReport {
    /// The store that was looked at.
    pub(super) store: String,
    /// Counts of the checks.
    pub(super) summary: Summary,
    /// Each check, in the order they were made.
    pub(super) checks: Vec<Check>,
    /// All statements that are missing, as one IAM policy; null where none is. Attach it to the caller, or to the role of
    /// the target that a statement's ARNs name.
    #[schemars(with = "Option<serde_json::Map<String, Value>>")]
    pub(super) policy: Value,
}

impl Printed for DoctorReport {
    const KIND: &'static str = "DoctorReport";
}

impl DoctorReport {
    pub(super) fn of(store: String, checks: Vec<Check>) -> Self {
        let count = |status| checks.iter().filter(|check| check.status == status).count();
        let summary = Summary {
            ok: count(Status::Ok),
            note: count(Status::Note),
            wrong: count(Status::Wrong),
            unknown: count(Status::Unknown),
            not_checked: count(Status::NotChecked),
        };
        let missing = statement::joined(checks.iter().filter_map(|check| check.statement.as_ref()));
        let policy =
            if missing.is_empty() { Value::Null } else { json!({ "Version": "2012-10-17", "Statement": missing }) };
        Self { store, summary, checks, policy }
    }

    /// Yes where nothing is wrong and everything that can be told was told.
    pub(super) const fn answer(&self) -> Answer {
        if self.summary.wrong == 0 && self.summary.unknown == 0 { Answer::Yes } else { Answer::No }
    }

    /// For people.
    pub(super) fn text(&self) -> String {
        let mut lines = Vec::new();
        for check in &self.checks {
            let place = check.target.as_ref().map_or_else(String::new, |target| format!(" in {target}"));
            let (status, area) = (check.status.as_str(), check.area.as_str());
            lines.push(format!("{status:<11}  {area:<10}  {}{place}: {}", check.check, check.message));
            if let Some(remedy) = &check.remedy {
                lines.push(format!("{:<25}remedy: {remedy}", ""));
            }
        }
        if !self.policy.is_null() {
            lines.push(String::new());
            lines.push("The IAM policy that is missing:".to_owned());
            lines.push(serde_json::to_string_pretty(&self.policy).unwrap_or_default());
        }
        let Summary { ok, note, wrong, unknown, not_checked } = self.summary;
        lines.push(String::new());
        lines.push(format!("{ok} ok, {note} notes, {wrong} wrong, {unknown} unknown, {not_checked} not checked"));
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_unknown_is_no_yes_and_what_is_not_checked_is_no_no() {
        let check = |status| Check::new(Area::Store, "it", status, "so");
        let answer = |statuses: &[Status]| {
            DoctorReport::of(String::new(), statuses.iter().map(|s| check(*s)).collect()).answer()
        };
        assert_eq!(answer(&[Status::Ok, Status::Note, Status::NotChecked]), Answer::Yes);
        assert_eq!(answer(&[Status::Ok, Status::Wrong]), Answer::No);
        assert_eq!(answer(&[Status::Ok, Status::Unknown]), Answer::No);
    }
}
