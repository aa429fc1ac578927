//! What an expression reads of its variables, told without running it: the answer depends on nothing else of them.

use super::functions::Function;
use super::node::{Expression, Node, NodeKind};
use super::value::Val;

/// The members of a service that decide whether it runs on Fargate.
const OF_IS_FARGATE: [&str; 3] = ["launchType", "capacityProviderStrategy", "platformVersion"];

/// A variable, and the members down to a node below it: the whole of that node is read.
pub type ReadPath = (usize, Vec<String>);

impl Expression {
    /// Every node it may look at. A path ends where the rest is only known while running, as with `list[i]`.
    #[must_use]
    pub fn read_paths(&self) -> Vec<ReadPath> {
        let mut found = Vec::new();
        node(self.node(), &mut found);
        found
    }
}

fn node(of: &Node, found: &mut Vec<ReadPath>) {
    if let Some(path) = path(of) {
        found.push(path);
        return;
    }
    match &of.kind {
        NodeKind::Literal(_) | NodeKind::Variable { .. } | NodeKind::Local(_) => {}
        NodeKind::Select { of, .. }
        | NodeKind::Has { of, .. }
        | NodeKind::Not(of)
        | NodeKind::Negate(of)
        | NodeKind::Matches { of, .. } => node(of, found),
        NodeKind::Index { of, index, .. } => {
            node(of, found);
            node(index, found);
        }
        NodeKind::List(items) | NodeKind::And(items) | NodeKind::Or(items) => {
            items.iter().for_each(|item| node(item, found));
        }
        NodeKind::Map(entries) => {
            for (key, value) in entries {
                node(key, found);
                node(value, found);
            }
        }
        NodeKind::Binary(_, left, right) => {
            node(left, found);
            node(right, found);
        }
        NodeKind::If(condition, then, otherwise) => {
            [condition, then, otherwise].into_iter().for_each(|part| node(part, found));
        }
        NodeKind::Call { function, arguments } => match (function, arguments.first().and_then(path)) {
            // Or else it would be the whole service, which changes with every task that starts.
            (Function::IsFargate, Some((slot, way))) => found.extend(OF_IS_FARGATE.map(|member| {
                let mut way = way.clone();
                way.push(member.to_owned());
                (slot, way)
            })),
            _ => arguments.iter().for_each(|argument| node(argument, found)),
        },
        NodeKind::Fold { range, filter, body, .. } => {
            // The variable of a fold stands for elements of the range, which is read as a whole.
            node(range, found);
            filter.iter().for_each(|filter| node(filter, found));
            node(body, found);
        }
    }
}

/// A chain of members down from a variable.
fn path(of: &Node) -> Option<ReadPath> {
    let (of, member) = match &of.kind {
        NodeKind::Variable { slot, .. } => return Some((*slot, Vec::new())),
        NodeKind::Select { of, field, .. } | NodeKind::Has { of, field } => (of, field.as_str()),
        NodeKind::Index { of, index, .. } => match &index.kind {
            NodeKind::Literal(Val::Text(member)) => (of, member.as_ref()),
            _ => return None,
        },
        _ => return None,
    };
    let (slot, mut way) = path(of)?;
    way.push(member.to_owned());
    Some((slot, way))
}

#[cfg(test)]
mod tests {
    use super::super::Scope;
    use super::*;

    #[track_caller]
    fn check(source: &str, wanted: &[&str]) {
        let scope = Scope::of(["d", "service"]);
        let paths = Expression::value(source, &scope).unwrap_or_else(|why| panic!("{source}: {why}")).read_paths();
        let found: Vec<String> = paths
            .into_iter()
            .map(|(slot, way)| {
                std::iter::once(scope.variables()[slot].clone()).chain(way).collect::<Vec<_>>().join(".")
            })
            .collect();
        assert_eq!(found, wanted, "{source}");
    }

    #[test]
    fn only_what_is_named_is_read() {
        check("d.a.?b.orValue('x') == 'y'", &["d.a.b"]);
        check("has(d.a.b) && d['c'][?'e'].hasValue()", &["d.a.b", "d.c.e"]);
        check(
            "isFargate(service)",
            &["service.launchType", "service.capacityProviderStrategy", "service.platformVersion"],
        );
        check(
            "isFargate(d.x) ? d.y : [d.z, {'k': d.w}]",
            &["d.x.launchType", "d.x.capacityProviderStrategy", "d.x.platformVersion", "d.y", "d.z", "d.w"],
        );
        check("isFargate({'launchType': d.a})", &["d.a"]);
        check("1 + 1 == 2", &[]);
    }

    #[test]
    fn where_only_running_tells_the_whole_node_is_read() {
        check("d.list[0].a == d.map[service.k]", &["d.list", "d.map", "service.k"]);
        check("d.list.all(x, x.a == d.b)", &["d.list", "d.b"]);
        check("d.list.map(x, x != null, x.a)", &["d.list"]);
        check("d == service", &["d", "service"]);
        check("size(d) > 0", &["d"]);
        check("(true ? d : service).a", &["d", "service"]);
    }
}
