//! Deliberate bugs. A simulation that does not find them proves nothing.
//!
//! None is in the controller: each is a lie between it and its ports, so that what is shipped carries no switch. A write
//! that is acknowledged and not kept is an intent that was skipped; a lost reply that is told as a refusal is a controller
//! that asks again blindly; a member that is never read is one that the code forgets.

use std::time::Duration;

use plimsoll::ports::store::{Expect, Item, Key, Page};
use plimsoll::ports::{EcsError, Operation};
use plimsoll::rollout::change::READ_LAG;
use serde_json::{Map, Value, json};

macro_rules! mutants {
    ($($(#[doc = $what:literal])+ $name:ident: $seed:literal, $law:literal;)*) => {
        /// A bug.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Mutant { $($(#[doc = $what])+ $name),* }

        impl Mutant {
            pub(crate) const ALL: &[Self] = &[$(Self::$name),*];

            /// A seed that has found it.
            pub(crate) const fn found_before(self) -> u64 {
                match self { $(Self::$name => $seed),* }
            }

            /// Words of the law that it breaks: breaking another does not count.
            pub(crate) const fn breaks(self) -> &'static str {
                match self { $(Self::$name => $law),* }
            }
        }
    };
}

mutants! {
    /// UpdateService is called without its intent on record.
    SkipsTheIntent: 1, "without its intent on record: {";
    /// RegisterTaskDefinition is called without its intent on record.
    SkipsTheRegistration: 2, "` without its intent on record";
    /// The lease is counted on a clock that stops while the process is suspended.
    CountsNoSuspension: 20, "too little of the lease is left";
    /// Records are written whoever has written them since.
    DropsTheFence: 10, "is written over";
    /// Records are removed whoever has written them since.
    RemovesUnfenced: 1, "is removed whatever it says";
    /// Who takes the lease does not stamp its epoch on what is open.
    TakesOverUnstamped: 5, "still bears epoch";
    /// The lease is taken when it has not changed for half of its length.
    TakesTheLeaseEarly: 1, "the lease is taken from";
    /// A lease that somebody else has taken is gone on with.
    KeepsALostLease: 1, ", and the lease is";
    /// Who is told to stop keeps the lease.
    KeepsTheLease: 1, "and has kept the lease";
    /// A call is made though less of the lease is left than it may take.
    ForgetsTheMargin: 505, "too little of the lease is left";
    /// What is stored is read once in two minutes.
    GoesByOldConfiguration: 1, "was read last at";
    /// Freezes are not looked at.
    ForgetsFreezes: 2, "`stop` is in force";
    /// That a Freeze is of the way back too is not looked at.
    ForgetsThatFreezesHoldBack: 22, "also of that";
    /// Windows are not looked at.
    ForgetsWindows: 7, "is closed at";
    /// Waivers are not looked at.
    ForgetsWaivers: 6, "is waived";
    /// Holds are not looked at.
    ForgetsWhatIsHeld: 6, "off which it is held";
    /// A hold that has ended still counts.
    HoldsForGood: 2, "what is said is not true";
    /// What a Binding leaves out is not looked at.
    ForgetsScopes: 8, "where nobody asks for";
    /// Approvals are not waited for.
    ForgetsApprovals: 2, "and nobody has approved";
    /// What is only to be proposed is enforced.
    EnforcesProposals: 1, "was not approved";
    /// Any number of changes goes at once.
    ForgetsMaxInFlight: 9, "are in flight";
    /// A change whose tasks are still watched is taken for done, and another goes to the same resource.
    GoesToTheSame: 17, "is in flight on";
    /// Any number of changes goes in a day.
    ForgetsTheDay: 8, "of 24 hours";
    /// Any number of services is affected without a person's approval.
    ForgetsMaxAffected: 20, "are affected than may be";
    /// Any number of changes may fail.
    ForgetsMaxFailures: 30, "of its rollout have failed";
    /// A wave is left before it is over.
    JumpsAWave: 14, "is over";
    /// A rollout that was paused goes on.
    ForgetsPauses: 2, "was paused and goes on";
    /// A rollout of which changes have failed is said to have succeeded.
    HidesFailures: 14, "is said to have succeeded";
    /// A policy goes on as it was before it was edited.
    ForgetsEdits: 1, "has another fix by now";
    /// Alarms are taken to be OK.
    IgnoresAlarms: 18, "the alarm was last seen";
    /// A registration whose reply was lost is sent again at once, as SDKs do.
    RegistersBlindlyAgain: 3, "sent twice for one intent";
    /// An UpdateService whose reply was lost is taken for one that was never sent.
    UpdatesBlindlyAgain: 25, "has had its effect";
    /// What a call has done is asked before reads have caught up: they lag for longer than is allowed for.
    ForgetsReadLag: 155, "has had its effect";
    /// Calls that may still arrive are not watched for.
    ForgetsLateCalls: 135, "nobody has found that";
    /// The machine's own clock is gone by, minutes off as it is.
    TrustsItsClock: 84, "is closed at";
    /// What failed, and what a person took back, is not held off.
    ForgetsHolds: 2, "its fix is not held off";
    /// What ECS says of a deployment and of older tasks is not looked at: begun is taken for landed.
    TrustsStability: 3, "is called succeeded";
    /// A setting that was sent is taken for set.
    TrustsSettings: 2, "is called succeeded";
    /// A setting that was to be set back is taken for set back.
    NeverSetsBack: 16, "shows another setting";
    /// What goes back is called taken back at once.
    CallsItTakenBack: 28, "and runs it";
    /// What could not be taken back is said to have been changed by somebody.
    BlamesOthers: 22, "and nobody has touched it";
    /// A revision is deregistered, and nothing of it is on record.
    SkipsTheDeregistration: 2, "DeregisterTaskDefinition of";
    /// UpdateService names a desired count.
    SetsTheCount: 1, "with a desired count";
    /// What ECS says of deployments in progress is not looked at.
    IgnoresDeployments: 4, "during a";
    /// What ECS's records have in progress is not looked at, and the service shows it one look later.
    IgnoresRecords: 335, "was seen to be in progress";
    /// What our deployment replaces is not looked at.
    IgnoresWhatItReplaces: 14, "nobody has found that";
    /// UpdateService also has all tasks replaced.
    SendsMore: 1, "without its intent on record: {";
    /// Subnets are sent that the service had once.
    SendsOldSubnets: 8, "which was not read there";
    /// A member that nobody planned to change is lost when a revision is registered.
    LosesAMember: 2, "in more than was planned";
    /// What was taken back is not deregistered.
    LeavesRevisions: 2, "is left over";
    /// Which images ran is not looked at before going back.
    GoesBackByTags: 1045, "is called taken back, and runs";
    /// A change is lost sight of as soon as ECS replaces tasks.
    LosesTrack: 1, "has not come to rest";
    /// A change is put back to a step that it had behind it.
    StepsBack: 2, "to Registering";
    /// A hold does not last.
    LetsHoldsGo: 2, "nobody asked";
    /// What is deregistered is the family's first revision, whoever made it.
    DeregistersTheFirst: 2, "it is not ours";
    /// Somebody else's deployment is stopped.
    StopsSomebodys: 19, "which somebody else began";
    /// What is deregistered is what a service runs.
    DeregistersWhatRuns: 2, "names it";
    /// Whether a Command was answered is not looked at.
    AnswersAgain: 1, "is answered twice";
    /// Commands are not answered.
    AnswersNobody: 1, "is never answered";
    /// What a document says of the host is not seen.
    LooksAway: 1, "is said to comply";
    /// An event is kept otherwise than it was written.
    EditsEvents: 1, "the event log is broken";
}

/// The bug of a run, if it has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mutation(pub(crate) Option<Mutant>);

impl Mutation {
    pub(crate) fn is(self, mutant: Mutant) -> bool {
        self.0 == Some(mutant)
    }

    /// How long a call may take, as the process is told.
    pub(crate) fn mutate_timeout(self, timeout: Duration) -> Duration {
        if self.is(Mutant::ForgetsTheMargin) { Duration::ZERO } else { timeout }
    }

    /// How far reads lag.
    pub(crate) fn mutate_lag(self, lag: Duration) -> Duration {
        if self.is(Mutant::ForgetsReadLag) { lag + READ_LAG } else { lag }
    }

    /// What is sent instead.
    pub(crate) fn mutate_call(self, operation: Operation, mut input: Value) -> Value {
        if self.is(Mutant::SetsTheCount) && operation == Operation::UpdateService {
            input["desiredCount"] = 2.into();
        }
        if self.is(Mutant::SendsMore) && operation == Operation::UpdateService {
            input["forceNewDeployment"] = true.into();
        }
        if self.is(Mutant::LosesAMember)
            && operation == Operation::RegisterTaskDefinition
            && let Some(container) = input.pointer_mut("/containerDefinitions/0").and_then(Value::as_object_mut)
        {
            container.shift_remove("dockerLabels");
        }
        if self.is(Mutant::DeregistersTheFirst)
            && operation == Operation::DeregisterTaskDefinition
            && let Some((family, _)) = input["taskDefinition"].as_str().and_then(|arn| arn.rsplit_once(':'))
        {
            input["taskDefinition"] = format!("{family}:1").into();
        }
        input
    }

    /// What is heard without anything having been sent.
    pub(crate) fn forges(self, operation: Operation, input: &Value) -> Option<Value> {
        if self.is(Mutant::LeavesRevisions) && operation == Operation::DeregisterTaskDefinition {
            return Some(Value::Null);
        }
        let back = input["settings"][0]["value"] == "disabled"
            || input["deploymentConfiguration"]["deploymentCircuitBreaker"]["enable"] == false;
        let forged = self.is(Mutant::TrustsSettings) || self.is(Mutant::NeverSetsBack) && back;
        if !forged || input.get("taskDefinition").is_some() {
            return None;
        }
        match operation {
            Operation::UpdateService if input.get("deploymentConfiguration").is_some() => {
                Some(json!({ "service": input }))
            }
            Operation::UpdateClusterSettings => Some(json!({ "cluster": input })),
            _ => None,
        }
    }

    /// What is heard instead.
    pub(crate) fn mutate_answer(
        self,
        operation: Operation,
        answer: Result<Value, EcsError>,
    ) -> Result<Value, EcsError> {
        let blind = operation == Operation::UpdateService && self.is(Mutant::UpdatesBlindlyAgain);
        let answer = answer.map_err(|error| match error {
            EcsError::NoAnswer { operation, message } if blind => EcsError::NotSent { operation, message },
            error => error,
        });
        let mut answer = answer?;
        let list =
            |answer: &mut Value, name: &str| answer.get_mut(name).and_then(Value::as_array_mut).map(std::mem::take);
        let only_primary = |service: &mut Value| {
            let mut deployments = list(service, "deployments").unwrap_or_default();
            deployments.retain(|deployment| deployment["status"] == "PRIMARY");
            service["deployments"] = deployments.into();
        };
        match (self.0, operation) {
            // Done as soon as it was asked for.
            (Some(Mutant::TrustsStability), Operation::DescribeTasks) => {
                let tasks = list(&mut answer, "tasks").unwrap_or_default();
                let revision = |task: &Value| task["taskDefinitionArn"].as_str().map(str::to_owned);
                let number = |arn: &String| arn.rsplit(':').next().and_then(|number| number.parse::<u32>().ok());
                let newest = tasks.iter().filter_map(revision).max_by_key(number);
                answer["tasks"] = tasks.into_iter().filter(|task| revision(task) == newest).collect();
            }
            // Lost, and not looked for.
            (Some(Mutant::LosesAMember), Operation::DescribeTaskDefinition) => {
                if let Some(container) = answer.pointer_mut("/taskDefinition/containerDefinitions/0") {
                    container["dockerLabels"] = json!({ "com.example.odd": "" });
                }
            }
            (Some(Mutant::LooksAway), Operation::DescribeTaskDefinition) => {
                answer["taskDefinition"].as_object_mut().map(|members| members.shift_remove("pidMode"));
            }
            (Some(Mutant::GoesBackByTags), Operation::DescribeTasks) => {
                for task in answer["tasks"].as_array_mut().into_iter().flatten() {
                    for container in task["containers"].as_array_mut().into_iter().flatten() {
                        container["imageDigest"] = Value::Null;
                    }
                }
            }
            (Some(Mutant::TrustsStability | Mutant::IgnoresRecords), Operation::DescribeServiceDeployments) => {
                for deployment in answer["serviceDeployments"].as_array_mut().into_iter().flatten() {
                    deployment["status"] = "SUCCESSFUL".into();
                }
            }
            (Some(Mutant::TrustsStability | Mutant::IgnoresDeployments), Operation::DescribeServices) => {
                for service in answer["services"].as_array_mut().into_iter().flatten() {
                    only_primary(service);
                    for deployment in service["deployments"].as_array_mut().into_iter().flatten() {
                        deployment["rolloutState"] = "COMPLETED".into();
                    }
                }
            }
            (Some(Mutant::IgnoresWhatItReplaces), Operation::UpdateService) => only_primary(&mut answer["service"]),
            (Some(Mutant::IgnoresWhatItReplaces), Operation::DescribeServiceDeployments) => {
                for deployment in answer["serviceDeployments"].as_array_mut().into_iter().flatten() {
                    deployment["sourceServiceRevisions"] = json!([]);
                }
            }
            (Some(Mutant::SendsOldSubnets), Operation::DescribeServices) => {
                for service in answer["services"].as_array_mut().into_iter().flatten() {
                    if let Some(subnets) = service.pointer_mut("/networkConfiguration/awsvpcConfiguration/subnets") {
                        *subnets = json!(["subnet-a"]);
                    }
                }
            }
            (Some(Mutant::IgnoresWhatItReplaces), Operation::DescribeServices) => {
                answer["services"].as_array_mut().into_iter().flatten().for_each(only_primary);
            }
            _ => {}
        }
        Ok(answer)
    }

    /// What is read instead.
    pub(crate) fn mutate_items(self, keys: &[Key], found: Vec<Option<Item>>) -> Vec<Option<Item>> {
        let hidden = |key: &Key| match self.0 {
            Some(Mutant::ForgetsFreezes) => key.partition == "cfg#freeze",
            Some(Mutant::ForgetsWaivers) => key.partition == "cfg#waiver",
            Some(Mutant::AnswersAgain) => key.sort.starts_with("answer#"),
            _ => false,
        };
        let seen = keys.iter().zip(found).map(|(key, item)| item.filter(|_| !hidden(key)));
        seen.map(|item| item.map(|item| self.mutate_item(item))).collect()
    }

    fn mutate_item(self, mut item: Item) -> Item {
        if self.is(Mutant::TakesTheLeaseEarly)
            && item.key.sort == "lease"
            && let Some(length) = item.body.get("lengthMillis").and_then(Value::as_u64)
        {
            item.body.insert("lengthMillis".into(), (length / 2).into());
        }
        if self.is(Mutant::HoldsForGood) && item.key.sort.starts_with("hold#") {
            item.body.shift_remove("until");
        }
        if self.is(Mutant::ForgetsLateCalls) {
            item.body.shift_remove("unheard");
        }
        let phase = item.body.get("phase").and_then(Value::as_str).unwrap_or_default().to_owned();
        if item.key.sort.starts_with("rollout#") {
            match (self.0, phase.as_str()) {
                (Some(Mutant::JumpsAWave), "Progressing") => {
                    item.body.insert("wave".into(), 1.into());
                }
                (Some(Mutant::ForgetsPauses), "Paused") => {
                    item.body.insert("phase".into(), "Progressing".into());
                }
                _ => {}
            }
        }
        if self.is(Mutant::GoesToTheSame) && item.key.sort.starts_with("change#") && phase == "Verifying" {
            let at = item.body.get("intent").cloned().unwrap_or_default();
            item.body.extend([("phase".to_owned(), "Succeeded".into()), ("at".to_owned(), at)]);
        }
        let kind = item.body.get("kind").and_then(Value::as_str).unwrap_or_default().to_owned();
        let Some(spec) = item.body.get_mut("spec").and_then(Value::as_object_mut) else { return item };
        match (self.0, kind.as_str()) {
            (Some(Mutant::ForgetsWindows), "RolloutStrategy") => drop(spec.shift_remove("windows")),
            (Some(Mutant::ForgetsApprovals), "RolloutStrategy") => drop(spec.shift_remove("approval")),
            (Some(Mutant::ForgetsTheDay), "RolloutStrategy") => drop(spec.shift_remove("maxChangesPerDay")),
            (Some(Mutant::ForgetsMaxAffected), "RolloutStrategy") => {
                spec.insert("maxAffected".into(), "100%".into());
            }
            (Some(Mutant::ForgetsMaxFailures), "RolloutStrategy") => drop(spec.insert("maxFailures".into(), 9.into())),
            (Some(Mutant::ForgetsEdits), "Policy") => {
                let edit = spec.get_mut("checks").and_then(|checks| checks.pointer_mut("/0/fix/0/edits/0"));
                if let Some(edit) = edit.filter(|edit| edit["set"] == "/pidMode") {
                    *edit = json!({ "remove": "/pidMode" });
                }
            }
            (Some(Mutant::ForgetsThatFreezesHoldBack), "Freeze") => drop(spec.shift_remove("includeRollback")),
            (Some(Mutant::ForgetsMaxInFlight), "RolloutStrategy") => drop(spec.insert("maxInFlight".into(), 9.into())),
            (Some(Mutant::EnforcesProposals), "Binding") if spec["enforcement"] == "propose" => {
                spec.insert("enforcement".into(), "enforce".into());
            }
            (Some(Mutant::ForgetsScopes), "Binding") => {
                spec.get_mut("scope").and_then(Value::as_object_mut).map(|scope| scope.shift_remove("exclude"));
            }
            _ => {}
        }
        item
    }

    /// The page that is read instead.
    pub(crate) fn mutate_page(self, mut page: Page) -> Page {
        if self.is(Mutant::LosesTrack) {
            page.items.retain(|item| item.body.get("phase").is_none_or(|phase| phase != "Stabilizing"));
        }
        if self.is(Mutant::ForgetsWhatIsHeld) {
            page.items.retain(|item| !item.key.sort.starts_with("hold#"));
        }
        page.items = page.items.into_iter().map(|item| self.mutate_item(item)).collect();
        page
    }

    /// On what condition a record is written instead.
    pub(crate) fn mutate_expect(self, key: &Key, expect: Expect) -> Expect {
        let record = key.partition.ends_with("#rollouts");
        let again = self.is(Mutant::AnswersAgain) && key.sort.starts_with("answer#");
        if self.is(Mutant::DropsTheFence) && record || again { Expect::Any } else { expect }
    }

    /// On what condition a record is removed instead.
    pub(crate) fn mutate_removal(self, expect: Expect) -> Expect {
        if self.is(Mutant::RemovesUnfenced) { Expect::Any } else { expect }
    }

    /// How seldom what people have stored is read.
    pub(crate) fn reads_every(self) -> Duration {
        if self.is(Mutant::GoesByOldConfiguration) { Duration::from_secs(120) } else { Duration::ZERO }
    }

    /// What is written instead.
    pub(crate) fn mutate_body(self, key: &Key, body: &Map<String, Value>) -> Map<String, Value> {
        let mut body = body.clone();
        if self.is(Mutant::EditsEvents) && key.partition.ends_with("#events") {
            body.insert("by".into(), "nobody".into());
        }
        if self.is(Mutant::HidesFailures)
            && key.sort.starts_with("rollout#")
            && body.get("phase").is_some_and(|phase| phase == "Failed")
        {
            body.insert("phase".into(), "Succeeded".into());
        }
        if key.sort.starts_with("change#") {
            let (is, instead) = match self.0 {
                Some(Mutant::CallsItTakenBack) => ("RollingBack", "RolledBack"),
                Some(Mutant::BlamesOthers) => ("RolledBack", "Overtaken"),
                _ => ("", ""),
            };
            if body.get("phase").is_some_and(|phase| phase == is) {
                body.insert("phase".into(), instead.into());
            }
        }
        if self.is(Mutant::StepsBack) && body.get("phase").is_some_and(|phase| phase == "Verifying") {
            body.insert("phase".into(), "Registering".into());
            body.insert("since".into(), "2026-01-05T09:00:00Z".into());
        }
        body
    }

    /// Whether a write is acknowledged and not kept.
    pub(crate) fn forgets(self, key: &Key, before: Option<&Item>, body: &Map<String, Value>) -> bool {
        let phase = |name: &str| body.get("phase").is_some_and(|phase| phase == name);
        let state = body.get("state").and_then(|state| state.get("phase"));
        match self.0 {
            Some(Mutant::SkipsTheIntent) => key.sort.starts_with("change#") && phase("Updating"),
            Some(Mutant::SkipsTheRegistration) => {
                key.sort.starts_with("registration#") && state.is_some_and(|phase| phase == "Intended")
            }
            Some(Mutant::SkipsTheDeregistration) => {
                let intended =
                    |of: &Value| of.as_array().is_some_and(|all| all.iter().any(|one| one["done"].is_null()));
                key.sort.starts_with("registration#") && body.get("deregistered").is_some_and(intended)
            }
            Some(Mutant::ForgetsHolds) => key.sort.starts_with("hold#"),
            Some(Mutant::AnswersNobody) => key.sort.starts_with("answer#"),
            Some(Mutant::KeepsTheLease) => key.sort == "lease" && body.get("holder").is_none_or(Value::is_null),
            Some(Mutant::TakesOverUnstamped) => before.is_some_and(|before| is_stamped(&before.body, body)),
            _ => false,
        }
    }
}

impl Mutation {
    /// Whether a write that its condition refuses is taken for made.
    pub(crate) fn takes_it_for_made(self, key: &Key, before: Option<&Item>, expect: Expect) -> bool {
        let refused = match expect {
            Expect::Any => false,
            Expect::Absent => before.is_some(),
            Expect::Version(version) => before.is_none_or(|before| before.version != version),
        };
        self.is(Mutant::KeepsALostLease) && key.sort == "lease" && refused
    }
}

/// Whether a record is written only to bear another epoch.
fn is_stamped(before: &Map<String, Value>, after: &Map<String, Value>) -> bool {
    let mut before = before.clone();
    let epoch = after.get("epoch");
    epoch.is_some()
        && before.insert("epoch".to_owned(), epoch.cloned().unwrap_or_default()).as_ref() != epoch
        && before == *after
}
