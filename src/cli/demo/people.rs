//! What people do in the demonstration: they apply, freeze and ask, and teams deploy. As the commands would do it, on the
//! same records.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::cli::error::Error;
use crate::embedded::EmbeddedStore;
use crate::manifest;
use crate::model::document::register_input;
use crate::model::spec::{Kind, Object};
use crate::model::{ServiceArn, TargetId, wire};
use crate::policy::builtin;
use crate::ports::Clock;
use crate::records::command::{Ask, Command, Commands};
use crate::records::configuration::{Application, Configurations};
use crate::rollout::command::Request;
use crate::sim::{SimEcs, VirtualClock};

/// Who asks in the demonstration.
const PERSON: &str = "arn:aws:iam::123456789012:user/you";

/// The alarm that rollouts of the strategy `watched` listen to.
pub(super) const ALARM: &str = "shop-5xx";

/// The name of the freeze.
pub(super) const FREEZE: &str = "incident-42";

/// People, with what they have at hand.
pub(super) struct People {
    ecs: Arc<SimEcs>,
    store: Arc<EmbeddedStore>,
    clock: Arc<VirtualClock>,
    target: TargetId,
    asked: usize,
}

impl People {
    pub(super) const fn new(
        ecs: Arc<SimEcs>,
        store: Arc<EmbeddedStore>,
        clock: Arc<VirtualClock>,
        target: TargetId,
    ) -> Self {
        Self { ecs, store, clock, target, asked: 0 }
    }

    /// The built-in policies for Security Hub's controls, and what of them is enforced. How many objects that is.
    pub(super) async fn apply_basics(&self) -> Result<usize, Error> {
        let mut files: Vec<(String, Vec<u8>)> = builtin::FILES
            .iter()
            .filter(|file| file.path.starts_with("security-hub/"))
            .map(|file| (file.path.to_owned(), file.text.as_bytes().to_vec()))
            .collect();
        files.push(("demo.yaml".to_owned(), include_bytes!("bindings.yaml").to_vec()));
        self.apply(&files).await
    }

    /// One policy more, by a strategy that listens to an alarm.
    pub(super) async fn apply_read_only_root(&self) -> Result<usize, Error> {
        self.apply(&[("read-only-root.yaml".to_owned(), include_bytes!("read-only-root.yaml").to_vec())]).await
    }

    /// A Freeze over everything.
    pub(super) async fn freeze(&self) -> Result<usize, Error> {
        let yaml = format!(
            "apiVersion: plimsoll/v1\nkind: Freeze\nmetadata: {{ name: {FREEZE} }}\nspec: {{ reason: checkout is down }}\n"
        );
        self.apply(&[("freeze.yaml".to_owned(), yaml.into_bytes())]).await
    }

    pub(super) async fn unfreeze(&self) -> Result<usize, Error> {
        let delete = vec![(Kind::Freeze, FREEZE.to_owned())];
        self.configure(Application { delete, ..Application::default() }).await
    }

    async fn apply(&self, files: &[(String, Vec<u8>)]) -> Result<usize, Error> {
        let objects: Vec<Object> = manifest::parse_files(files)
            .map_err(|found| Error::input("the demonstration's files cannot be read", found))?
            .into_iter()
            .map(|sourced| sourced.object)
            .collect();
        self.configure(Application { objects, ..Application::default() }).await
    }

    async fn configure(&self, application: Application) -> Result<usize, Error> {
        let configurations = Configurations::of(self.store.as_ref());
        let application = Application { by: Some(PERSON.to_owned()), ..application };
        let applied = configurations.apply(&application, self.clock.now(), false).await?;
        Ok(applied.len())
    }

    /// Asks the controller for something.
    pub(super) async fn ask(&mut self, rollout: &str, request: Request) -> Result<(), Error> {
        self.asked += 1;
        let ask = Ask::Rollout { name: rollout.to_owned(), request };
        let command = Command { id: format!("{:04}", self.asked), ask, by: PERSON.to_owned(), at: self.clock.now() };
        Ok(Commands::of(self.store.as_ref(), &self.target).ask(&command).await?)
    }

    /// The alarm goes off, or rests.
    pub(super) fn ring(&self, on: bool) {
        self.ecs.world().ring(ALARM, on);
    }

    /// The team's next deployment: what they had, with the violation in it, as a new revision; where `more` is given, with
    /// that among its variables. What it is called.
    pub(super) fn deploy(&self, service: &ServiceArn, from: &str, more: Option<(&str, &str)>) -> Result<String, Error> {
        let now = self.clock.now();
        let mut world = self.ecs.world();
        let refused = |error: crate::sim::SimError| {
            Error::new("the simulated team could not deploy").caused_by(format!("{error:?}"))
        };
        let old = world
            .call(now, "DescribeTaskDefinition", &json!({ "taskDefinition": from, "include": ["TAGS"] }))
            .map_err(refused)?;
        let old = wire::task_definition(&old).map_err(|error| Error::new(error.to_string()))?;
        let mut input = Value::Object(register_input(&old).map_err(|error| Error::new(error.to_string()))?);
        let variables = input.pointer_mut("/containerDefinitions/0/environment").and_then(Value::as_array_mut);
        if let (Some((name, value)), Some(variables)) = (more, variables) {
            variables.push(json!({ "name": name, "value": value }));
        }
        let made = world.call(now, "RegisterTaskDefinition", &input).map_err(refused)?;
        let arn =
            made.pointer("/taskDefinition/taskDefinitionArn").and_then(Value::as_str).unwrap_or_default().to_owned();
        let cluster = service.cluster_name().unwrap_or_default();
        let update = json!({ "cluster": cluster, "service": service.name(), "taskDefinition": arn });
        world.call(now, "UpdateService", &update).map_err(refused)?;
        Ok(arn.rsplit('/').next().unwrap_or_default().to_owned())
    }
}
