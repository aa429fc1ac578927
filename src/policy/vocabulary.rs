//! What expressions can name, for `explain`: by kind of resource, from the very list they are compiled with.

use super::compile::variables;
use crate::model::spec::ResourceKind;

/// A variable of expressions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VariableDoc {
    /// Its name.
    pub name: &'static str,
    /// What it is.
    pub is: &'static str,
    /// When it is known; reading what is not makes the verdict `unknown`.
    pub known: &'static str,
}

/// The variables of a policy about this kind of resource. Besides these there are the names that a check's `as` gives.
#[must_use]
pub fn vocabulary(kind: ResourceKind) -> Vec<VariableDoc> {
    const ALWAYS: &str = "always";
    const IN_FLEET: &str = "in a fleet; of files only in tests that give it";
    const NEVER: &str = "only in tests that give it";
    // What the controller knows around each kind: see `plan::judge`. Task sets and capacity providers are not observed.
    let around = match kind {
        ResourceKind::TaskDefinition | ResourceKind::Service => IN_FLEET,
        ResourceKind::Cluster | ResourceKind::TaskSet | ResourceKind::CapacityProvider => NEVER,
    };
    let about = |name| match name {
        "taskDefinition" => ("the task definition, as DescribeTaskDefinition gives it, without its tags", ALWAYS),
        "service" if kind == ResourceKind::Service => ("the service, as DescribeServices gives it", ALWAYS),
        "service" => ("the service it belongs to, as DescribeServices gives it", around),
        "cluster" if kind == ResourceKind::Cluster => {
            ("the cluster, as DescribeClusters gives it with settings and configurations", ALWAYS)
        }
        "cluster" => ("the cluster it belongs to, as DescribeClusters gives it", around),
        "taskSet" => ("the task set, as DescribeTaskSets gives it", ALWAYS),
        "capacityProvider" => ("the capacity provider, as DescribeCapacityProviders gives it", ALWAYS),
        "params" => ("the policy's params, by name: what Bindings set, else the default", ALWAYS),
        "target" => ("{account, region, labels} of where it is", "in a fleet; of files that say it, or with --assume"),
        "running" => (
            "the digests of the images that the service runs, by container",
            "in a fleet, where a policy in force reads them; of files only in tests that give it",
        ),
        _ => ("the tags of the resource, by key", "in a fleet; of files that have them"),
    };
    let known = variables(kind).into_iter().filter(|name| !name.is_empty());
    known
        .map(|name| {
            let (is, known) = about(name);
            VariableDoc { name, is, known }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::spec::{CheckSpec, Metadata, Object, PolicySpec, Spec};
    use crate::policy::PolicySet;

    const ALL: [ResourceKind; 5] = [
        ResourceKind::TaskDefinition,
        ResourceKind::Service,
        ResourceKind::Cluster,
        ResourceKind::TaskSet,
        ResourceKind::CapacityProvider,
    ];

    fn compiles(kind: ResourceKind, require: &str) -> bool {
        let check = CheckSpec {
            name: "c".to_owned(),
            for_each: None,
            names: Vec::new(),
            when: None,
            require: require.to_owned(),
            message: "m".to_owned(),
            at: None,
            fix: Vec::new(),
        };
        let spec = PolicySpec {
            title: "t".to_owned(),
            description: String::new(),
            severity: crate::model::Severity::Low,
            controls: Vec::new(),
            resource: kind,
            when: None,
            params: std::collections::BTreeMap::new(),
            checks: vec![check],
            examples: Vec::new(),
        };
        let metadata = Metadata { name: "p".to_owned(), ..Metadata::default() };
        PolicySet::compile(&[Object { metadata, spec: Spec::Policy(spec) }]).is_ok()
    }

    #[test]
    fn every_name_is_explained_by_itself() {
        for kind in ALL {
            let listed = vocabulary(kind);
            let said: std::collections::BTreeSet<&str> = listed.iter().map(|one| one.is).collect();
            assert_eq!(said.len(), listed.len(), "{listed:#?}");
        }
    }

    #[test]
    fn a_policy_may_name_what_is_listed_for_its_kind_and_nothing_else() {
        let every: std::collections::BTreeSet<&str> =
            ALL.iter().flat_map(|kind| vocabulary(*kind)).map(|one| one.name).collect();
        for kind in ALL {
            let listed: Vec<&str> = vocabulary(kind).iter().map(|one| one.name).collect();
            for name in &every {
                assert_eq!(compiles(kind, &format!("size({name}) > 0")), listed.contains(name), "{kind:?}: {name}");
            }
        }
        assert!(!compiles(ResourceKind::Service, "size(nothing) > 0"));
    }
}
