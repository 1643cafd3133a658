//! What was touched: the resource of the record, and what its id says.

use changegate_json::Value;
use changegate_types::{ChangeEvent, Resource};

use super::Parts;
use crate::context::{Context, first};
use crate::text;

/// The pieces of a resource id that are read, whose names may be in any case.
#[derive(Default)]
pub(super) struct Id<'a> {
    pub(super) subscription: Option<&'a str>,
    group: Option<&'a str>,
    cluster: Option<&'a str>,
    /// Offset of what stands after the last `/providers/`.
    provider: Option<usize>,
}

impl<'a> Id<'a> {
    pub(super) fn of(id: &'a str) -> Self {
        let mut found = Self::default();
        let mut from = 0;
        // What the piece before was the name of.
        let mut named = None;
        for slash in text::Places::of(id, b'/') {
            // Few pieces are looked at.
            let piece = || id.get(from..slash).unwrap_or_default();
            if let Some(named) = named.take() {
                found.fill(named, piece());
            }
            let is = |name: &str| piece() == name || piece().eq_ignore_ascii_case(name);
            match slash - from {
                9 if from > 0 && is("providers") => found.provider = Some(slash + 1),
                13 if is("subscriptions") => named = Some(Piece::Subscription),
                14 if is("resourceGroups") => named = Some(Piece::Group),
                15 if is("managedClusters") => named = Some(Piece::Cluster),
                _ => {}
            }
            from = slash + 1;
        }
        if let Some(named) = named {
            found.fill(named, id.get(from..).unwrap_or_default());
        }
        found
    }

    /// The first of each counts.
    #[inline]
    fn fill(&mut self, named: Piece, piece: &'a str) {
        let field = match named {
            Piece::Subscription => &mut self.subscription,
            Piece::Group => &mut self.group,
            Piece::Cluster => &mut self.cluster,
        };
        field.get_or_insert(piece);
    }
}

enum Piece {
    Subscription,
    Group,
    Cluster,
}

/// Ids vary in case from record to record and mean the same, so they are kept in lower case.
pub(super) fn name<'a>(
    context: &mut Context<'a>,
    event: &mut ChangeEvent<'a>,
    parts: &Parts<'a>,
    authorization: Value<'a>,
) -> &'a str {
    let id = text::or(parts.resource, || {
        text::or(parts.properties.resource.text(), || {
            text::or(parts.authorization.get("scope").text(), || {
                authorization.get("scope").text()
            })
        })
    });
    let pieces = Id::of(id);
    event.account_uid = first(&[pieces.subscription.unwrap_or_default(), parts.subscription]);
    event.namespace = pieces.group.unwrap_or_default();
    event.cluster = pieces.cluster.unwrap_or_default();
    let uid = context.lower(id);
    let mut list = context.list_of_one();
    if !id.is_empty() {
        let path = pieces.provider.and_then(|at| uid.get(at..));
        list.push(Resource {
            uid,
            kind: path.map_or_else(|| kind_above(uid), |path| kind(context, path)),
            name: text::after_last(id.trim_end_matches('/'), b'/'),
        });
    }
    // A blob, beside the account that holds it.
    let object = parts.properties.object.text();
    if !object.is_empty() {
        list.push(Resource {
            uid: object,
            kind: "microsoft.storage/storageaccounts/blobs",
            name: text::after_last(object, b'/'),
        });
    }
    event.resources = context.resources(list);
    uid
}

/// Of what has no provider.
fn kind_above(id: &str) -> &'static str {
    if id.contains("/resourcegroups/") {
        "microsoft.resources/resourcegroups"
    } else if id.contains("/subscriptions/") {
        "microsoft.resources/subscriptions"
    } else {
        ""
    }
}

/// What follows the last `/providers/`: `p/a/x/b/y` is of type `p/a/b`.
fn kind<'a>(context: &Context<'a>, path: &'a str) -> &'a str {
    let mut slashes = text::Places::of(path, b'/');
    let (Some(_), of_name) = (slashes.next(), slashes.next()) else {
        return context.join(&[path, "/"]);
    };
    // Of a provider and a type both stand side by side.
    let mut kind = path.get(..of_name.unwrap_or(path.len())).unwrap_or_default();
    if let Some(below) = slashes.next().and_then(|slash| path.get(slash + 1..)) {
        let mut pieces = below.split('/');
        // Deeper than three types is no resource of Azure.
        for _ in 0..3 {
            match (pieces.next(), pieces.next()) {
                (Some(piece), _) if !piece.is_empty() => kind = context.join(&[kind, "/", piece]),
                _ => break,
            }
        }
    }
    kind
}
