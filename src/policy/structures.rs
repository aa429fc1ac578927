//! What ECS's structures have for members, and what a policy names that they have not.
//!
//! A warning and not an error: ECS may have grown since `structures.txt` was written.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use similar::get_close_matches;

use super::compile::{CompiledPolicy, On, ROOTS, What, below};
use super::expression::{Expression, Shape, Structures, UnknownMember};
use super::set::PolicyError;
use super::template::ValueTemplate;
use crate::model::spec::{Kind, ResourceKind};
use crate::model::wire::OF_DEPLOYMENTS;

/// The members of each structure.
type Known = BTreeMap<&'static str, BTreeMap<&'static str, Shape>>;

fn known() -> &'static Known {
    static KNOWN: OnceLock<Known> = OnceLock::new();
    KNOWN.get_or_init(|| {
        let lines = include_str!("structures.txt").lines().filter(|line| !line.starts_with('#'));
        lines.filter_map(structure).collect()
    })
}

fn structure(line: &'static str) -> Option<(&'static str, BTreeMap<&'static str, Shape>)> {
    let mut words = line.split(' ');
    let name = words.next()?;
    let member = |word: &'static str| {
        let (name, kind) = word.split_once(':').unwrap_or((word, ""));
        (name, shape(kind))
    };
    Some((name, words.map(member).collect()))
}

fn shape(kind: &'static str) -> Shape {
    let within = |open, close| kind.strip_prefix(open).and_then(|rest: &'static str| rest.strip_suffix(close));
    match (within('[', ']'), within('{', '}')) {
        (Some(element), _) => Shape::List(shape(element).into()),
        (_, Some(value)) => Shape::Map(shape(value).into()),
        _ if kind.is_empty() => Shape::Scalar,
        _ => Shape::Structure(kind),
    }
}

/// ECS's structures.
struct Ecs;

impl Structures for Ecs {
    fn member(&self, structure: &'static str, member: &str) -> Option<Shape> {
        let of = |structure| known().get(structure)?.get(member).cloned();
        // What only its deployment shows stands on the service too.
        let deployed = || of("Deployment").filter(|_| structure == "Service" && OF_DEPLOYMENTS.contains(&member));
        of(structure).or_else(deployed)
    }
}

const fn of_resource(kind: ResourceKind) -> Shape {
    Shape::Structure(match kind {
        ResourceKind::TaskDefinition => "TaskDefinition",
        ResourceKind::Service => "Service",
        ResourceKind::Cluster => "Cluster",
        ResourceKind::TaskSet => "TaskSet",
        ResourceKind::CapacityProvider => "CapacityProvider",
    })
}

/// What becomes of it.
const READ: &str = "it is read as absent, always";
const WRITTEN: &str = "ECS would refuse or drop it";

/// What a policy reads or edits that ECS does not have.
pub(super) fn unknown_members(policy: &CompiledPolicy) -> Vec<PolicyError> {
    let resource = of_resource(policy.spec.resource);
    // In slot order; of the rest nothing is known.
    let around = [resource.clone(), of_resource(ResourceKind::Service), of_resource(ResourceKind::Cluster)];
    let mut look = Look { policy: &policy.name, found: Vec::new() };
    if let Some(when) = &policy.when {
        look.expression(when, &around, "/when", 0);
    }
    for (index, check) in policy.checks.iter().enumerate() {
        let at = |member: &str| format!("/checks/{index}/{member}");
        let mut shapes = around.to_vec();
        shapes.resize(ROOTS, Shape::Any);
        let mut element = resource.clone();
        if let Some(each) = &check.each {
            let mut stars = Vec::new();
            element = look.path(resource.clone(), each.tokens(), &at("forEach"), &mut stars, READ);
            shapes.extend(stars);
        }
        for (expression, member) in [(check.when.as_ref(), "when"), (Some(&check.require), "require")] {
            if let Some(expression) = expression {
                look.expression(expression, &shapes, &at(member), 0);
            }
        }
        for (expression, before) in check.message.expressions() {
            look.expression(expression, &shapes, &at("message"), before);
        }
        if let Some(path) = &check.at {
            look.path(element.clone(), path, &at("at"), &mut Vec::new(), READ);
        }
        for (place, fix) in check.fixes.iter().enumerate() {
            let fix_at = at(&format!("fix/{place}"));
            if let Some(when) = &fix.when {
                look.expression(when, &shapes, &format!("{fix_at}/when"), 0);
            }
            for (number, edit) in fix.edits.iter().enumerate() {
                let on = match edit.on {
                    On::Resource => resource.clone(),
                    On::Star(star) => shapes.get(ROOTS + star).cloned().unwrap_or(Shape::Any),
                };
                let edit_at = format!("{fix_at}/edits/{number}");
                let (field, value) = match &edit.what {
                    What::Set(value) => ("set", Some(value)),
                    What::Append { value, .. } => ("append", Some(value)),
                    What::Remove => ("remove", None),
                };
                let named = look.path(on, &edit.path, &format!("{edit_at}/{field}"), &mut Vec::new(), WRITTEN);
                let written = match (&edit.what, named) {
                    (What::Append { .. }, Shape::List(element)) => *element,
                    (What::Append { .. }, _) => Shape::Any,
                    (_, named) => named,
                };
                if let Some(value) = value {
                    look.value(value, &written, &shapes, &format!("{edit_at}/value"));
                }
            }
        }
    }
    look.found
}

struct Look<'a> {
    policy: &'a str,
    found: Vec<PolicyError>,
}

impl Look<'_> {
    fn expression(&mut self, expression: &Expression, shapes: &[Shape], pointer: &str, before: usize) {
        for unknown in expression.unknown_members(shapes, &Ecs) {
            let column = Some(unknown.column + before);
            self.warn(&unknown, pointer, column, READ);
        }
    }

    /// Goes down a pointer, noting what each `*` stands for; gives the shape at its end.
    fn path(
        &mut self,
        from: Shape,
        tokens: &[String],
        pointer: &str,
        stars: &mut Vec<Shape>,
        consequence: &str,
    ) -> Shape {
        let mut here = from;
        for token in tokens {
            here = match here {
                Shape::List(element) => *element,
                Shape::Map(value) => *value,
                // Described beside it and registered within it: findings and edits point to where it is registered.
                Shape::Structure("TaskDefinition") if token == "tags" => Shape::List(Shape::Structure("Tag").into()),
                Shape::Structure(structure) => Ecs.member(structure, token).unwrap_or_else(|| {
                    let unknown = UnknownMember { structure, member: token.chars().take(60).collect(), column: 1 };
                    self.warn(&unknown, pointer, None, consequence);
                    Shape::Any
                }),
                Shape::Any | Shape::Scalar => Shape::Any,
            };
            if token == "*" {
                stars.push(here.clone());
            }
        }
        here
    }

    /// What an edit writes, held against the shape of the place it writes to.
    fn value(&mut self, value: &ValueTemplate, shape: &Shape, shapes: &[Shape], pointer: &str) {
        match value {
            ValueTemplate::Literal(_) => {}
            ValueTemplate::Computed(expression) => self.expression(expression, shapes, &below(pointer, &["cel"]), 0),
            ValueTemplate::List(items) => {
                let element = if let Shape::List(element) = shape { element.as_ref() } else { &Shape::Any };
                for (index, item) in items.iter().enumerate() {
                    self.value(item, element, shapes, &below(pointer, &[&index.to_string()]));
                }
            }
            ValueTemplate::Map(members) => {
                for (name, member) in members {
                    let at = below(pointer, &[name]);
                    let inner = self.path(shape.clone(), std::slice::from_ref(name), &at, &mut Vec::new(), WRITTEN);
                    self.value(member, &inner, shapes, &at);
                }
            }
        }
    }

    fn warn(&mut self, unknown: &UnknownMember, pointer: &str, column: Option<usize>, consequence: &str) {
        let UnknownMember { structure, member, .. } = unknown;
        let message = format!("ECS's {structure} has no member `{member}`: {consequence}");
        let names: Vec<&str> = known().get(structure).into_iter().flatten().map(|(name, _)| *name).collect();
        let near =
            get_close_matches(member.as_str(), &names, 1, 0.6).first().map(|name| format!("did you mean `{name}`?"));
        let help = if member == "tags" { Some("they are in `tags`, by key".to_owned()) } else { near };
        let error = PolicyError::of(Kind::Policy, self.policy, pointer, message);
        self.found.push(PolicyError { column, help, ..error });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_structure_that_a_member_names_is_there() {
        fn named(shape: &Shape) -> Option<&'static str> {
            match shape {
                Shape::Any | Shape::Scalar => None,
                Shape::List(inner) | Shape::Map(inner) => named(inner),
                Shape::Structure(name) => Some(name),
            }
        }
        assert!(known().len() > 80, "{}", known().len());
        for (structure, members) in known() {
            assert!(!members.is_empty(), "{structure}");
            for shape in members.values() {
                assert!(named(shape).is_none_or(|name| known().contains_key(name)), "{structure}: {shape:?}");
            }
        }
    }

    #[test]
    fn shapes_are_read_inside_out() {
        assert_eq!(Ecs.member("TaskDefinition", "cpu"), Some(Shape::Scalar));
        let containers = Shape::List(Shape::Structure("ContainerDefinition").into());
        assert_eq!(Ecs.member("TaskDefinition", "containerDefinitions"), Some(containers));
        assert_eq!(Ecs.member("ContainerDefinition", "dockerLabels"), Some(Shape::Map(Shape::Scalar.into())));
        assert_eq!(Ecs.member("TaskDefinition", "pidMod"), None);
    }

    #[test]
    fn a_member_that_ecs_does_not_have_is_warned_of_wherever_it_is_named() {
        let policy = r#"
    kind: Policy
    metadata: { name: misspelt }
    spec:
      title: t
      severity: low
      resource: TaskDefinition
      when: "taskDefinition.?pidMod.orValue('') == ''"
      checks:
        - name: containers
          forEach: /containerDefinitions/*/environmnt/*
          as: [container, variable]
          require: "container.?logConfiguraton.orValue({}).size() == 0 && container.environment.all(v, v.nam != '')"
          message: "container {container.nme} of {taskDefinition.family}"
          at: /valu
        - name: edits
          forEach: /containerDefinitions/*
          as: [container]
          require: "service.networkConfiguration.awsvpcConfiguration.assignPublicIP == 'DISABLED'"
          message: m
          fix:
            - edits:
                - { set: /readonlyRootFilesytem, value: true }
                - { append: /mountPoints, key: sourceVolume, value: { sourceVolum: tmp } }
                - { set: /dockerLabels/anything, on: container, value: { cel: container.imag } }
    "#;
        let object = serde_json::from_value(serde_saphyr::from_str(policy).unwrap()).unwrap();
        let set = crate::policy::PolicySet::compile(&[object]).unwrap();
        let found: Vec<String> = set
            .warnings()
            .iter()
            .map(|warning| format!("{} {:?}: {}", warning.pointer, warning.column, warning.message))
            .collect();
        insta::assert_snapshot!(found.join("\n"), @"
        /when Some(15): ECS's TaskDefinition has no member `pidMod`: it is read as absent, always
        /checks/0/forEach None: ECS's ContainerDefinition has no member `environmnt`: it is read as absent, always
        /checks/0/require Some(10): ECS's ContainerDefinition has no member `logConfiguraton`: it is read as absent, always
        /checks/0/require Some(85): ECS's KeyValuePair has no member `nam`: it is read as absent, always
        /checks/0/message Some(21): ECS's ContainerDefinition has no member `nme`: it is read as absent, always
        /checks/1/require Some(49): ECS's AwsVpcConfiguration has no member `assignPublicIP`: it is read as absent, always
        /checks/1/fix/0/edits/0/set None: ECS's ContainerDefinition has no member `readonlyRootFilesytem`: ECS would refuse or drop it
        /checks/1/fix/0/edits/1/value/sourceVolum None: ECS's MountPoint has no member `sourceVolum`: ECS would refuse or drop it
        /checks/1/fix/0/edits/2/value/cel Some(10): ECS's ContainerDefinition has no member `imag`: it is read as absent, always
        ");
        assert_eq!(set.warnings()[0].help.as_deref(), Some("did you mean `pidMode`?"));
    }
}
