//! What the caller may do with ECS and alarms in one account and region.

use std::collections::BTreeSet;

use serde_json::Value;

use super::check::{Area, Check, Status};
use super::dry::{self, Verdict};
use super::examine::{Caller, Examination};
use super::statement::{self, Place};
use crate::aws::{AwsEcs, AwsError, Connection, Share};
use crate::model::arn::cluster_of;
use crate::model::operation::Operation;
use crate::model::permission::{Access, Need, On, PERMISSIONS, Permission};
use crate::model::spec::AlarmSelector;
use crate::ports::{Alarms, AlarmsError};

/// In how many clusters a right is asked for that is denied where nothing is. Each costs a call for each such right.
const ASKED_IN: usize = 10;

/// The clusters that are there, as far as rights are asked for in them.
#[derive(Debug, Default)]
struct Clusters {
    names: Vec<String>,
    /// There are no others.
    all: bool,
}

impl Clusters {
    fn of(answer: &Value) -> Self {
        let arns = answer["clusterArns"].as_array().map(Vec::as_slice).unwrap_or_default();
        let names: Vec<String> =
            arns.iter().filter_map(|arn| cluster_of(arn.as_str()?)).take(ASKED_IN).map(ToOwned::to_owned).collect();
        let all = names.len() == arns.len() && answer["nextToken"].as_str().is_none_or(str::is_empty);
        Self { names, all }
    }
}

/// What is known of a right that is denied where nothing is: a statement that names resources does not cover that.
#[derive(Debug, PartialEq, Eq)]
enum Elsewhere {
    /// It is not denied in this cluster.
    Permitted(String),
    /// It is denied in every cluster there is, or no statement can name resources for it.
    Denied(Vec<String>),
    /// It cannot be asked, or not in all of them.
    Untold,
}

/// What came of asking for a right.
enum Told {
    Check(Box<Check>),
    /// It is denied where nothing is.
    Denied(String, Elsewhere),
}

impl Examination<'_> {
    /// What the caller may do in one account and region. `acts`: whether anything is proposed or enforced.
    pub(super) async fn target(
        &mut self,
        connection: &Connection,
        caller: Caller,
        acts: bool,
        alarms: &[&AlarmSelector],
    ) {
        let ecs = connection.ecs();
        let (mut clusters, mut all) = (Clusters::default(), Vec::new());
        let mut silence = None;
        for operation in Operation::ALL.iter().copied() {
            let Some(permission) = Permission::of(operation) else { continue };
            let input = dry::input(operation, &caller.target, &caller.partition, None);
            let (answer, came_back) = ecs.ask(operation, input).await;
            if let (Operation::ListClusters, Ok(answer)) = (operation, &answer) {
                clusters = Clusters::of(answer);
            }
            let told = match dry::verdict(operation, answer, came_back) {
                Verdict::Permitted { how } => {
                    Told::Check(Box::new(Check::ok(Area::Permission, permission.name(), how)))
                }
                Verdict::Denied { message } => {
                    match ask_elsewhere(&ecs, (operation, permission), &caller, &clusters).await {
                        Ok(elsewhere) => Told::Denied(message, elsewhere),
                        Err(message) => {
                            silence = Some(message);
                            break;
                        }
                    }
                }
                Verdict::Unreachable { message } => {
                    let remedy = AwsError::Unreachable { message: String::new() }.help();
                    self.push(Check::wrong(Area::Connection, "ECS", message, remedy).at(&caller.target));
                    return;
                }
                Verdict::Silent { message } => {
                    silence = Some(message);
                    break;
                }
                Verdict::Untold { message } => Told::Check(Box::new(
                    Check::new(Area::Permission, permission.name(), Status::Unknown, message)
                        .remedy("try again; with another server than AWS, see whether it has this operation"),
                )),
            };
            all.push((permission, told));
        }
        // Where one right to change something is granted in a cluster, the rights to clusters may be so too.
        let narrowed = all.iter().find_map(|(permission, told)| match told {
            Told::Denied(_, Elsewhere::Permitted(cluster)) if permission.need == Need::Enforce => Some(cluster.clone()),
            _ => None,
        });
        for (permission, told) in all {
            let check = match told {
                Told::Check(check) => *check,
                Told::Denied(message, elsewhere) => {
                    of_denial(permission, &message, elsewhere, narrowed.as_deref(), acts, caller.place(""))
                }
            };
            self.push(check.at(&caller.target));
        }
        // Whoever was silent once is not asked for each of the others: every one would take as long.
        if let Some(message) = silence {
            let remedy = AwsError::NoAnswer { message: String::new() }.help();
            self.push(Check::wrong(Area::Connection, "ECS", message, remedy).at(&caller.target));
            return;
        }
        let pass_role = PERMISSIONS.iter().filter(|permission| permission.action == "PassRole");
        for permission in pass_role {
            let message = format!("it cannot be told without registering a revision: {}", permission.why);
            let check = Check::new(Area::Permission, permission.name(), Status::NotChecked, message);
            self.push(check.at(&caller.target));
        }
        self.alarms(connection, &caller, alarms).await;
    }

    /// Only where a strategy names alarms: nobody else needs the right.
    async fn alarms(&mut self, connection: &Connection, caller: &Caller, chosen: &[&AlarmSelector]) {
        let port = connection.alarms(Share::default());
        let tagged = chosen.iter().find_map(|selector| match selector {
            AlarmSelector::Tagged(tags) => Some(tags),
            AlarmSelector::Name(_) => None,
        });
        // Those that a strategy names, for a statement may name them too.
        let mut named: BTreeSet<String> = chosen
            .iter()
            .filter_map(|selector| match selector {
                AlarmSelector::Name(name) => Some(name.clone()),
                AlarmSelector::Tagged(_) => None,
            })
            .collect();
        let mut answers = Vec::new();
        if let Some(tags) = tagged {
            let found = port.tagged(tags).await;
            named.extend(found.iter().flatten().cloned());
            answers.push(("GetResources", found.map(drop)));
        }
        if !chosen.is_empty() {
            if named.is_empty() {
                named.insert(dry::NOTHING.to_owned());
            }
            answers.push(("DescribeAlarms", port.states(&named).await.map(drop)));
        }
        for permission in PERMISSIONS.iter().filter(|permission| permission.need == Need::Alarms) {
            let Some((_, answer)) = answers.iter().find(|(action, _)| *action == permission.action) else { continue };
            let check = match answer {
                Ok(()) => Check::ok(Area::Permission, permission.name(), permitted(permission)),
                Err(AlarmsError::Denied { message, .. }) => denied(permission, message, caller.place("")),
                Err(error @ (AlarmsError::Throttled { .. } | AlarmsError::NoAnswer { .. })) => {
                    Check::new(Area::Permission, permission.name(), Status::Unknown, error.to_string())
                        .remedy("without it no wave of a strategy with alarms begins")
                }
            };
            self.push(check.at(&caller.target));
        }
    }
}

/// Asks again in clusters that are there, where that changes nothing either. An error says that nothing came back.
async fn ask_elsewhere(
    ecs: &AwsEcs,
    (operation, permission): (Operation, &Permission),
    caller: &Caller,
    clusters: &Clusters,
) -> Result<Elsewhere, String> {
    if !dry::can_be_asked_in_a_cluster(operation) {
        let nowhere = permission.on == On::Anything;
        return Ok(if nowhere { Elsewhere::Denied(Vec::new()) } else { Elsewhere::Untold });
    }
    for name in &clusters.names {
        let input = dry::input(operation, &caller.target, &caller.partition, Some(name));
        let (answer, came_back) = ecs.ask(operation, input).await;
        match dry::verdict(operation, answer, came_back) {
            Verdict::Permitted { .. } => return Ok(Elsewhere::Permitted(name.clone())),
            Verdict::Denied { .. } => {}
            Verdict::Silent { message } => return Err(message),
            Verdict::Unreachable { .. } | Verdict::Untold { .. } => return Ok(Elsewhere::Untold),
        }
    }
    let everywhere = clusters.all && !clusters.names.is_empty();
    Ok(if everywhere { Elsewhere::Denied(clusters.names.clone()) } else { Elsewhere::Untold })
}

/// What a denial where nothing is comes to. `narrowed`: a cluster in which another right to change something is granted.
fn of_denial(
    permission: &Permission,
    message: &str,
    elsewhere: Elsewhere,
    narrowed: Option<&str>,
    acts: bool,
    place: Place<'_>,
) -> Check {
    if let Elsewhere::Permitted(cluster) = &elsewhere {
        let message =
            format!("granted on some resources: not denied in cluster `{cluster}`, and denied where nothing is");
        return Check::ok(Area::Permission, permission.name(), message);
    }
    if permission.need == Need::Enforce && !acts {
        let message = format!("denied, and needed once a Binding proposes or enforces: {message}");
        return Check::new(Area::Permission, permission.name(), Status::Note, message);
    }
    match elsewhere {
        // As for PassRole: no statement is printed, for it would widen a role that may be right as it is.
        Elsewhere::Untold if permission.on == On::Cluster && !dry::is_explicit(message) && narrowed.is_some() => {
            let message = format!(
                "denied where nothing is; could be told only by changing a cluster. Others are granted in `{}`: {}",
                narrowed.unwrap_or_default(),
                permission.why
            );
            Check::new(Area::Permission, permission.name(), Status::NotChecked, message)
        }
        Elsewhere::Untold if !dry::is_explicit(message) => {
            let message = format!(
                "denied where nothing is: either missing, or granted on other resources only, which cannot be told: {message}"
            );
            Check::new(Area::Permission, permission.name(), Status::Unknown, message)
                .remedy(format!(
                    "allow it to the caller, unless a statement names the resources that are meant: {}",
                    permission.why
                ))
                .missing(Some(statement::of(permission, place)))
        }
        Elsewhere::Denied(clusters) if !clusters.is_empty() => {
            let names: Vec<String> = clusters.iter().map(|name| format!("`{name}`")).collect();
            denied(permission, &format!("in every cluster there is ({}): {message}", names.join(", ")), place)
        }
        Elsewhere::Denied(_) | Elsewhere::Untold | Elsewhere::Permitted(_) => denied(permission, message, place),
    }
}

pub(super) fn permitted(permission: &Permission) -> &'static str {
    match permission.access {
        Access::Read => "answered",
        Access::Write => "not denied: its condition was refused, as it must be",
    }
}

pub(super) fn denied(permission: &Permission, message: &str, place: Place<'_>) -> Check {
    let check = Check::new(Area::Permission, permission.name(), Status::Wrong, format!("denied: {message}"));
    if dry::is_explicit(message) {
        return check.remedy("a policy denies it: take that out; nothing that is allowed besides helps");
    }
    check.remedy(format!("allow it to the caller: {}", permission.why)).missing(Some(statement::of(permission, place)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_was_not_asked_in_every_cluster_is_not_denied_in_all() {
        let arn = |number: usize| json!(format!("arn:aws:ecs:eu-west-1:123456789012:cluster/c-{number}"));
        let of = |count: usize, more: &Value| {
            let clusters =
                Clusters::of(&json!({ "clusterArns": (0..count).map(arn).collect::<Vec<_>>(), "nextToken": more }));
            (clusters.names.len(), clusters.all)
        };
        assert_eq!(of(2, &Value::Null), (2, true));
        assert_eq!(of(2, &json!("more")), (2, false));
        assert_eq!(of(ASKED_IN + 1, &Value::Null), (ASKED_IN, false));
        assert_eq!(of(0, &Value::Null), (0, true));
    }
}
