//! `serde_json` is the oracle: same members, same strings, same refusals.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod same;

use bumpalo::Bump;
use changegate_json::{FaultKind, Indexer, Kind, Limits};
use proptest::prelude::*;

use same::same_as_oracle;

#[test]
fn refusals_and_corners() {
    for text in [
        "",
        " ",
        "{}",
        "[]",
        "null",
        "nul",
        "nulL",
        "tru",
        "true",
        "falsy",
        "0",
        "-0",
        "01",
        "-",
        "1.",
        "1.5",
        ".5",
        "1e5",
        "1e",
        "1E+9",
        "1e999",
        "-1.5e-10",
        "\"\"",
        "\"",
        "\"a",
        "\"\\\"",
        "\"\\n\\t\\u00e9\"",
        "\"\\u12\"",
        "\"\\u12g4\"",
        "\"\\x\"",
        "\"\\ud83d\\ude00\"",
        "\"\\ud83d\"",
        "\"\\ud83dx\"",
        "\"\\ud83d\\u0041\"",
        "\"\\ude00\"",
        "\"\u{7}\"",
        "\"\u{7f}é漢\"",
        "[1,]",
        "[,1]",
        "[1 2]",
        "[1,2",
        "{\"a\":1,}",
        "{\"a\" 1}",
        "{\"a\":}",
        "{a:1}",
        "{\"a\":1 \"b\":2}",
        "{\"a\":{\"b\":[{},[],\"x\"]}} ",
        "{} x",
        "1 1",
        "[[[[[[]]]]]]",
        "{\"a\":1,\"a\":2}",
        "{\"a\":1,\"b\":3,\"a\":{\"a\":1}}",
        "\"\\",
        "\"\\u",
        " { \"a\" : [ 1 , 2 ] } \n",
    ] {
        same_as_oracle(text.as_bytes());
    }
    same_as_oracle(b"\"\xff\"");
    same_as_oracle(b"\"\xe6\xbc\"");
}

#[test]
fn of_names_that_repeat_the_last_counts() {
    let arena = Bump::new();
    let text = br#"{"a":1,"b":2,"a":3,"c":{"x":1},"a":4}"#;
    let document = Indexer::default()
        .index(&arena, text, &Limits::default())
        .unwrap();
    let root = document.root();
    assert!(
        document.has_repeated_names() && root.has_repeated_names() && !root.get("c").has_repeated_names()
    );
    assert_eq!(root.get("a").i64(), Some(4));
    assert_eq!(root.members().count(), 3);
    assert_eq!(root.at(&["c", "x"]).i64(), Some(1));
    assert_eq!(root.at(&["c", "y", "z"]).kind(), Kind::Missing);
}

#[test]
fn names_in_another_case_are_found() {
    let arena = Bump::new();
    let document = Indexer::default()
        .index(
            &arena,
            br#"{"EVENTTYPE":"x","eventtype":"y","Id":7}"#,
            &Limits::default(),
        )
        .unwrap();
    assert_eq!(document.root().get("eventType").text(), "x");
    assert_eq!(document.root().get("eventtype").text(), "y");
    assert_eq!(document.root().get("id").text(), "7");
}

#[test]
fn a_number_that_no_float_holds_is_read_and_has_no_value() {
    let arena = Bump::new();
    let document = Indexer::default()
        .index(&arena, b"[1e999,1e2]", &Limits::default())
        .unwrap();
    let values: Vec<_> = document
        .root()
        .items()
        .map(|item| (item.f64(), item.i64(), item.text()))
        .collect();
    assert_eq!(values, [(None, None, "1e999"), (Some(100.0), Some(100), "1e2")]);
}

#[test]
fn limits_hold() {
    let limits = Limits {
        depth: 3,
        bytes: 20,
        values: 5,
    };
    let arena = Bump::new();
    let fault = |text: &str| {
        Indexer::default()
            .index(&arena, text.as_bytes(), &limits)
            .map(|_| ())
            .unwrap_err()
    };
    assert_eq!(
        (fault("[[[[]]]]").kind, fault("[[[[]]]]").at),
        (FaultKind::Depth, 3)
    );
    assert_eq!(fault("[1,2,3,4,5]").kind, FaultKind::Count);
    assert_eq!(fault("[                      ]").kind, FaultKind::Size);
    let bomb = "[".repeat(1 << 20);
    assert_eq!(
        Indexer::default()
            .index(&arena, bomb.as_bytes(), &Limits::default())
            .map(|_| ())
            .unwrap_err()
            .kind,
        FaultKind::Depth
    );
}

#[test]
fn values_that_follow_one_another() {
    let arena = Bump::new();
    let bytes = b"{\"a\":1}\n[2] ";
    let mut indexer = Indexer::default();
    let (first, end) = indexer.index_first(&arena, bytes, &Limits::default()).unwrap();
    assert_eq!((first.root().raw(), end), ("{\"a\":1}", 7));
    assert_eq!(
        indexer
            .index(&arena, bytes, &Limits::default())
            .map(|_| ())
            .unwrap_err()
            .kind,
        FaultKind::Trailing
    );
}

#[test]
fn many_names_stay_cheap_and_right() {
    let members: Vec<String> = (0..20_000).map(|n| format!("\"k{n}\":{n}")).collect();
    same_as_oracle(format!("{{{}}}", members.join(",")).as_bytes());
}

/// Above a size an object's names are compared at its end: before it and after it, by many members or by one large one.
#[test]
fn names_repeated_in_large_objects_count_once() {
    let large = format!("[{}]", vec!["0"; 300].join(","));
    for (members, value) in [1, 100, 127, 128, 129, 300]
        .iter()
        .flat_map(|members| [(*members, "0"), (*members, &large)])
    {
        for repeated in [0, members / 2, members - 1] {
            let mut members: Vec<String> = (0..members).map(|n| format!("\"k{n}\":{value}")).collect();
            let again = format!("\"k{repeated}\":\"again\"");
            members.push(again.clone());
            let text = format!("{{{}}}", members.join(","));
            same_as_oracle(text.as_bytes());
            members.insert(0, again);
            same_as_oracle(format!("{{{}}}", members.join(",")).as_bytes());
            let arena = Bump::new();
            let document = Indexer::default()
                .index(&arena, text.as_bytes(), &Limits::default())
                .unwrap();
            assert!(document.has_repeated_names(), "{repeated} of {}", members.len());
        }
    }
}

fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        "\\PC*".prop_map(Into::into),
        "[\\x00-\\x7f]{0,40}".prop_map(Into::into),
    ];
    leaf.prop_recursive(6, 64, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Into::into),
            prop::collection::vec(("[a-d\"\\\\\\n]{0,3}", inner), 0..8)
                .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_json_reads_the_same(value in json(), pretty: bool) {
        let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
        same_as_oracle(text.as_bytes());
    }

    #[test]
    fn what_is_damaged_is_refused_alike(value in json(), at in any::<prop::sample::Index>(), byte: u8, cut: bool) {
        let mut bytes = serde_json::to_vec(&value).unwrap();
        let at = at.index(bytes.len());
        if cut { bytes.truncate(at) } else { bytes[at] = byte }
        same_as_oracle(&bytes);
    }

    #[test]
    fn escapes_there_and_back(text in "\\PC{0,40}[\\x00-\\x7f]{0,10}") {
        let mut escaped = vec![b'"'];
        changegate_json::escape_into(&mut escaped, &text);
        escaped.push(b'"');
        prop_assert_eq!(serde_json::from_slice::<String>(&escaped).unwrap(), text.clone());
        let mut plain = String::new();
        changegate_json::unescape(str::from_utf8(&escaped[1..escaped.len() - 1]).unwrap(), |piece| plain.push_str(piece));
        prop_assert_eq!(plain, text);
    }
}
