//! What was touched: the record's own list, else what request or response name.

use changegate_types::Mark;
use serde_json::Value;

use super::super::LIST_MAX;
use super::naming::NAMING;
use super::{CloudTrail, Columns, owned};

impl CloudTrail {
    pub(super) fn resources(&self, columns: &mut Columns, listed: Value, request: Value, response: Value) {
        if let Value::Array(items) = listed {
            for mut item in items {
                let uid = item
                    .get_mut("ARN")
                    .map(|uid| owned(uid.take()))
                    .unwrap_or_default();
                let kind = item["type"]
                    .as_str()
                    .and_then(|kind| NAMING.iter().find(|(_, own)| *own == kind));
                push(columns, uid, kind.map_or("", |(_, own)| own));
            }
        }
        for parameters in [request, response] {
            if columns.resources.is_empty() {
                self.named(columns, parameters);
            }
        }
        if columns.resources.len() > LIST_MAX {
            columns.resources.truncate(LIST_MAX);
            columns.marks.set(Mark::ListCut);
        }
    }

    fn named(&self, columns: &mut Columns, parameters: Value) {
        let Value::Object(parameters) = parameters else {
            return;
        };
        let ranked = parameters.into_iter().filter_map(|(mut name, value)| {
            name.make_ascii_lowercase();
            self.naming.get(&name).map(|rank| (*rank, value))
        });
        let Some((rank, value)) = ranked.min_by_key(|(rank, _)| *rank) else {
            return;
        };
        if let Some((name, kind)) = NAMING.get(rank) {
            each_text(value, &mut |text| {
                let uid = match *name {
                    "bucketName" => format!("arn:aws:s3:::{text}"),
                    "userName" | "roleName" if !text.contains(':') => {
                        let what = if *name == "userName" { "user" } else { "role" };
                        format!("arn:aws:iam::{}:{what}/{text}", columns.account_uid)
                    }
                    _ => text,
                };
                push(columns, uid, kind);
            });
        }
    }
}

fn push(columns: &mut Columns, uid: String, kind: &'static str) {
    let tail = uid.rsplit('/').next().unwrap_or_default();
    let name = tail.rsplit(':').next().unwrap_or_default().to_owned();
    columns.resources.push((uid, kind.into(), name));
}

/// Texts in a value, in a list of them, or in `{"items":[{"instanceId":…}]}` as EC2 spells its lists.
fn each_text(value: Value, found: &mut impl FnMut(String)) {
    match value {
        Value::Array(items) => items.into_iter().for_each(|item| each_text(item, found)),
        Value::Object(mut members) => match members.remove("items") {
            Some(items) => each_text(items, found),
            None => members
                .into_iter()
                .take(1)
                .for_each(|(_, first)| each_text(first, found)),
        },
        Value::String(_) | Value::Number(_) => found(owned(value)),
        _ => {}
    }
}
