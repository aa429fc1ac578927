//! The calls of CloudWatch and of the tagging API, in their words. Does not know how a call travels.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::super::config::WorldConfig;
use super::super::error::SimError;
use super::super::input::{Input, Line, unveil, veil};
use super::super::names;
use super::super::state::State;
use super::state::{Alarm, Rule};
use crate::model::AlarmState;

/// Whether it is a call of CloudWatch or of the tagging API, not of ECS.
pub(in crate::sim) fn is_of_alarms(operation: &str) -> bool {
    matches!(
        operation,
        "DescribeAlarms" | "PutMetricAlarm" | "PutCompositeAlarm" | "SetAlarmState" | "DeleteAlarms" | "GetResources"
    )
}

impl State {
    pub(in crate::sim) fn put_metric_alarm(&mut self, input: &Input<'_>) -> Result<Value, SimError> {
        let name = name_of(input)?;
        self.put_alarm(name, Rule::Metric(AlarmState::InsufficientData), tags_of(input)?);
        Ok(json!({}))
    }

    /// Of `AlarmRule` only `ALARM(a) OR ALARM("b") …` is modelled.
    pub(in crate::sim) fn put_composite_alarm(&mut self, input: &Input<'_>) -> Result<Value, SimError> {
        let name = name_of(input)?;
        let child = |part: &str| {
            let inner = part.trim().strip_prefix("ALARM(")?.strip_suffix(')')?;
            Some(inner.trim_matches(['"', '\'']).to_owned())
        };
        let children: Option<Vec<String>> = input.need_text("AlarmRule")?.split(" OR ").map(child).collect();
        let children = children
            .ok_or_else(|| SimError::new("ValidationError", "The simulator has `ALARM(…) OR ALARM(…)` only."))?;
        self.put_alarm(name, Rule::AnyOf(children), tags_of(input)?);
        Ok(json!({}))
    }

    pub(in crate::sim) fn set_alarm_state(&mut self, input: &Input<'_>) -> Result<Value, SimError> {
        let name = name_of(input)?;
        if !self.alarms.contains_key(name) {
            return Err(SimError { status: 404, ..SimError::new("ResourceNotFound", "Unknown alarm") });
        }
        let state = match input.need_text("StateValue")? {
            "OK" => AlarmState::Ok,
            "ALARM" => AlarmState::Alarm,
            "INSUFFICIENT_DATA" => AlarmState::InsufficientData,
            other => return Err(SimError::new("ValidationError", format!("{other} is no StateValue"))),
        };
        self.set_alarm(name, state);
        Ok(json!({}))
    }

    pub(in crate::sim) fn delete_alarms(&mut self, input: &Input<'_>) -> Result<Value, SimError> {
        for name in input.texts("AlarmNames")? {
            self.alarms.remove(name);
        }
        Ok(json!({}))
    }

    pub(in crate::sim) fn describe_alarms(&self, input: &Input<'_>) -> Result<Value, SimError> {
        let names = input.texts("AlarmNames")?;
        if names.len() > 100 {
            return Err(SimError::new("ValidationError", "AlarmNames can have at most 100 members."));
        }
        let types = input.texts("AlarmTypes")?;
        let asked = |(name, alarm): &(&String, &Alarm)| {
            let kind = if alarm.is_composite() { "CompositeAlarm" } else { "MetricAlarm" };
            // Without types only metric alarms are answered (DescribeAlarmsInput).
            (names.is_empty() || names.contains(&name.as_str()))
                && if types.is_empty() { !alarm.is_composite() } else { types.contains(&kind) }
        };
        let line = |(name, alarm): (&String, &Alarm)| {
            let since = alarm.since.as_epoch_seconds();
            let rule = |child: &String| format!("ALARM(\"{child}\")");
            let rule = match &alarm.rule {
                Rule::Metric(_) => None,
                Rule::AnyOf(children) => Some(children.iter().map(rule).collect::<Vec<_>>().join(" OR ")),
            };
            let shown = json!({
                "AlarmName": name, "AlarmArn": arn(&self.config, name), "StateValue": self.alarm_state(alarm),
                "StateUpdatedTimestamp": since, "StateTransitionedTimestamp": since, "AlarmRule": rule,
            });
            (name.clone(), shown)
        };
        let lines = self.alarms.iter().filter(asked).map(line).collect();
        let (page, next) = cut(lines, input.integer("MaxRecords")?.unwrap_or(50), input.text("NextToken")?)?;
        let (metric, composite): (Vec<Value>, Vec<Value>) =
            page.into_iter().partition(|alarm| alarm.get("AlarmRule").is_none_or(Value::is_null));
        let mut answer = Map::from_iter(
            [("MetricAlarms", metric), ("CompositeAlarms", composite)]
                .map(|(name, alarms)| (name.to_owned(), Value::Array(alarms))),
        );
        answer.extend(next.map(|token| ("NextToken".to_owned(), Value::String(token))));
        Ok(Value::Object(answer))
    }

    pub(in crate::sim) fn get_resources(&self, input: &Input<'_>) -> Result<Value, SimError> {
        let kinds = input.texts("ResourceTypeFilters")?;
        if kinds != ["cloudwatch:alarm"] {
            return Err(SimError::invalid("The simulator finds `cloudwatch:alarm` only."));
        }
        let filters = input.list("TagFilters")?.unwrap_or_default();
        let has = |tags: &BTreeMap<String, String>, filter: &Value| {
            let values = filter.get("Values").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            let found = filter.get("Key").and_then(Value::as_str).and_then(|key| tags.get(key));
            found.is_some_and(|found| values.is_empty() || values.iter().any(|value| value == found.as_str()))
        };
        let lines: Vec<Line> = self
            .alarms
            .iter()
            .filter(|(_, alarm)| filters.iter().all(|filter| has(&alarm.tags, filter)))
            .map(|(name, alarm)| {
                let tags: Vec<Value> =
                    alarm.tags.iter().map(|(key, value)| json!({ "Key": key, "Value": value })).collect();
                (name.clone(), json!({ "ResourceARN": arn(&self.config, name), "Tags": tags }))
            })
            .collect();
        let token = input.text("PaginationToken")?.filter(|token| !token.is_empty());
        let (page, next) = cut(lines, input.integer("ResourcesPerPage")?.unwrap_or(50), token)?;
        Ok(json!({ "ResourceTagMappingList": page, "PaginationToken": next.unwrap_or_default() }))
    }
}

fn name_of<'a>(input: &Input<'a>) -> Result<&'a str, SimError> {
    let name = input.need_text("AlarmName")?;
    match name.chars().count() {
        1..=255 => Ok(name),
        _ => Err(SimError::new("ValidationError", "AlarmName must have 1 to 255 characters.")),
    }
}

fn tags_of(input: &Input<'_>) -> Result<BTreeMap<String, String>, SimError> {
    let part = |tag: &Value, name: &str| tag.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let tags = input.list("Tags")?.unwrap_or_default();
    Ok(tags.iter().map(|tag| (part(tag, "Key"), part(tag, "Value"))).collect())
}

fn arn(config: &WorldConfig, name: &str) -> String {
    names::arn(config, &format!("alarm:{name}")).replacen(":ecs:", ":cloudwatch:", 1)
}

/// One page of `lines`, which are in order, after the one that `token` names; and the token of the next.
fn cut(lines: Vec<Line>, size: i64, token: Option<&str>) -> Result<(Vec<Value>, Option<String>), SimError> {
    let size = usize::try_from(size).ok().filter(|size| (1..=100).contains(size));
    let size = size.ok_or_else(|| SimError::new("ValidationError", "A page has 1 to 100 lines."))?;
    let invalid = || SimError::new("InvalidNextToken", "Invalid token.");
    let after = token.map(|token| unveil(token).ok_or_else(invalid)).transpose()?;
    let mut rest = lines.into_iter().filter(|(key, _)| after.as_ref().is_none_or(|after| key > after)).peekable();
    let page: Vec<Line> = rest.by_ref().take(size).collect();
    let next = rest.peek().and(page.last()).map(|(key, _)| veil(key));
    Ok((page.into_iter().map(|(_, line)| line).collect(), next))
}
