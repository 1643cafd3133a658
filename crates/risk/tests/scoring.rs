//! A model trained on a made-up organisation, and what it says of the days after.

mod world;

use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use bumpalo::Bump;
use changegate_risk::{FEATURES, Limits, Model, Scorer, State, TrainOptions};
use changegate_types::{ChangeEvent, TimeMicros};
use proptest::prelude::*;
use world::{DAY, START, Told, events, leak, trainer};

fn limits() -> Limits {
    Limits {
        actors: 4_096,
        actor_counts: 1 << 17,
        shared_counts: 1 << 16,
        waiting: 1 << 12,
        learning_hours: 24,
        ..Limits::default()
    }
}

fn options() -> TrainOptions {
    TrainOptions {
        name: "test".to_owned(),
        limits: limits(),
        ..TrainOptions::default()
    }
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("risk").join(name)
}

static MODEL: LazyLock<Arc<Model>> = LazyLock::new(|| {
    let trained = trainer(&events(1, 20_000, 30, true), options())
        .finish(&folder("shared"))
        .unwrap();
    println!("{:#?}", trained.metrics);
    Arc::new(Model::load(&trained.dir, Some(trained.hash)).unwrap())
});

/// One event's outcome, without the arena.
#[derive(Clone, Debug, PartialEq)]
struct Kept {
    risk: f32,
    raw: f32,
    extrapolated: bool,
    learning: bool,
    stratum: String,
    features: Vec<u16>,
    reasons: Vec<(String, String, f32)>,
}

fn scorer() -> Scorer {
    scorer_with(State::new(&MODEL, limits()))
}

fn scorer_with(state: State) -> Scorer {
    Scorer::new(MODEL.clone(), Arc::new(state))
}

fn score(scorer: &mut Scorer, told: &[Told], block: usize) -> Vec<Kept> {
    let mut kept = Vec::new();
    for told in told.chunks(block) {
        let arena = Bump::new();
        let events: Vec<(&ChangeEvent<'_>, TimeMicros)> =
            told.iter().map(|(event, time, _)| (event, *time)).collect();
        let mut scores = Vec::new();
        scorer.score_block(&arena, &events, &mut scores);
        assert_eq!(scores.len(), events.len());
        kept.extend(scores.iter().map(|score| {
            Kept {
                risk: score.risk.points(),
                raw: score.raw,
                extrapolated: score.extrapolated,
                learning: score.learning,
                stratum: score.stratum.to_owned(),
                features: score.features.to_vec(),
                reasons: score
                    .reasons
                    .iter()
                    .map(|reason| {
                        (
                            reason.feature.to_owned(),
                            reason.text.to_owned(),
                            reason.contribution,
                        )
                    })
                    .collect(),
            }
        }));
    }
    kept
}

fn snapshot(state: &State) -> Vec<u8> {
    let mut bytes = Vec::new();
    state.write_snapshot(&mut bytes);
    bytes
}

#[test]
fn attacks_stand_out_and_ordinary_changes_do_not() {
    let told = events(1, 20_000, 30, true);
    let kept = score(&mut scorer(), &told, 256);
    let after = told.len() / 2;
    let of = |attack: bool| {
        let changes = told
            .iter()
            .zip(&kept)
            .skip(after)
            .filter(|((event, ..), _)| event.is_change);
        let risks = changes
            .filter(|((_, _, kind), _)| kind.is_some() == attack)
            .map(|(_, kept)| kept.risk);
        risks.collect::<Vec<f32>>()
    };
    let reach = |risks: &[f32], points: f32| {
        risks.iter().filter(|&&risk| risk >= points).count() as f64 / risks.len() as f64
    };
    let share = |risks: &[f32]| reach(risks, 60.0);
    let (attacks, benign) = (of(true), of(false));
    println!(
        "at 60 points: {:.4} of {} attacks, {:.5} of {} benign",
        share(&attacks),
        attacks.len(),
        share(&benign),
        benign.len()
    );
    // The same attack comes again and again, so that half of the actors were robbed before: those rank lower.
    assert!(share(&attacks) >= 0.6 && reach(&attacks, 40.0) == 1.0);
    assert!(share(&benign) <= 0.003);
}

#[test]
fn a_learning_phase_ends_after_the_stated_time_and_says_so_once() {
    let told = events(2, 4_000, 10, false);
    let mut scorer = scorer();
    let kept = score(&mut scorer, &told, 256);
    assert!(kept[0].learning && !kept[3_999].learning);
    let ended = scorer.state().ended_phases();
    let strata: Vec<&str> = ended.iter().map(|phase| phase.stratum).collect();
    assert!(
        strata.contains(&"service/production") && strata.contains(&"human/production"),
        "{ended:?}"
    );
    assert!(
        ended
            .iter()
            .all(|phase| phase.source == told[0].0.source && phase.events > 0),
        "{ended:?}"
    );
    assert_eq!(scorer.state().ended_phases(), []);
    assert_eq!(scorer.state().size().learning_phases, 0);
    // Once over, it stays over.
    let last = kept
        .iter()
        .rposition(|kept| kept.learning && kept.stratum == "service/production")
        .unwrap();
    let first = kept
        .iter()
        .position(|kept| !kept.learning && kept.stratum == "service/production")
        .unwrap();
    assert!(last < first && last > 100, "{last} {first}");
}

#[test]
fn a_score_does_not_depend_on_how_blocks_were_cut() {
    let told = events(3, 3_000, 10, true);
    let whole = score(&mut scorer(), &told, 512);
    for block in [1, 7, 256] {
        assert_eq!(whole, score(&mut scorer(), &told, block), "blocks of {block}");
    }
}

#[test]
fn learning_from_rows_that_exist_leaves_the_state_of_scoring_them() {
    let told = events(4, 2_000, 10, true);
    let mut scored = scorer();
    score(&mut scored, &told, 300);
    let mut learned = scorer();
    for told in told.chunks(111) {
        let events: Vec<(&ChangeEvent<'_>, TimeMicros)> =
            told.iter().map(|(event, time, _)| (event, *time)).collect();
        learned.learn_block(&events);
    }
    assert_eq!(snapshot(scored.state()), snapshot(learned.state()));
}

#[test]
fn after_a_snapshot_scores_go_on_as_without_one() {
    let told = events(5, 6_000, 40, true);
    let mut without = scorer();
    score(&mut without, &told[..3_500], 256);
    let bytes = snapshot(without.state());
    let mut state = State::new(&MODEL, limits());
    state.read_snapshot(&bytes[..]).unwrap();
    assert_eq!(snapshot(&state), bytes);
    let mut with = scorer_with(state);
    assert_eq!(
        score(&mut with, &told[3_500..], 256),
        score(&mut without, &told[3_500..], 256)
    );
}

#[test]
fn a_damaged_or_foreign_snapshot_is_refused_and_leaves_an_empty_state() {
    let mut filled = scorer();
    score(&mut filled, &events(6, 500, 5, false), 256);
    let bytes = snapshot(filled.state());
    let mut state = State::new(&MODEL, limits());
    let empty = snapshot(&state);
    for at in [0, 9, bytes.len() / 2, bytes.len() - 1] {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1;
        let error = state.read_snapshot(&damaged[..]).unwrap_err().to_string();
        assert!(
            error.contains("damaged") && error.contains("delete it"),
            "{error}"
        );
        assert_eq!(snapshot(&state), empty);
    }
    state.read_snapshot(&bytes[..20]).unwrap_err();
    let other = Limits {
        actor_counts: 1 << 18,
        ..limits()
    };
    let error = State::new(&MODEL, other)
        .read_snapshot(&bytes[..])
        .unwrap_err()
        .to_string();
    assert!(error.contains("limit of actor counts"), "{error}");
}

#[test]
fn a_flood_of_names_stays_within_the_limits_and_forgets_no_regular() {
    let regulars = events(7, 6_000, 20, false);
    let mut scorer = scorer();
    score(&mut scorer, &regulars, 512);
    let (_, last, _) = regulars.last().unwrap();
    let (event, ..) = &regulars[0];
    let mut flood = event.clone();
    let arena = Bump::new();
    let mut names = Vec::new();
    for actor in 0..1_000_000u32 {
        names.push(&*arena.alloc_str(&actor.to_string()));
    }
    for block in names.chunks(5_000) {
        let block: Vec<ChangeEvent<'_>> = block
            .iter()
            .map(|name| {
                flood.actor_uid = "";
                ChangeEvent {
                    actor_uid: name,
                    ..flood.clone()
                }
            })
            .collect();
        let events: Vec<_> = block.iter().map(|event| (event, *last)).collect();
        scorer.learn_block(&events);
    }
    let size = scorer.state().size();
    println!("{size:?}");
    assert!(size.actors <= 4_096 && size.actor_counts <= 1 << 17 && size.waiting <= 1 << 12);
    assert!(size.actors_refused > 900_000);
    // A regular's history is still there: what it always did is not "first" for it.
    let later: Vec<Told> = events(7, 6_000, 20, false).split_off(5_900);
    let later: Vec<Told> = later
        .into_iter()
        .map(|(event, _, kind)| (event, *last, kind))
        .collect();
    let first_network = 11;
    let known = score(&mut scorer, &later, 256)
        .iter()
        .filter(|kept| kept.features[first_network] == 0)
        .count();
    assert!(known >= 95, "{known} of 100");
}

#[test]
fn reasons_say_why_with_the_counts_behind_them() {
    let mut scorer = scorer();
    let told = events(1, 20_000, 30, true);
    let kept = score(&mut scorer, &told, 256);
    let attack = told
        .iter()
        .rposition(|(.., kind)| *kind == Some("logging_stopped"))
        .unwrap();
    let reasons = &kept[attack].reasons;
    println!("{} {reasons:#?}", kept[attack].risk);
    assert_eq!(reasons.len(), 3);
    assert!(reasons.windows(2).all(|pair| pair[0].2 >= pair[1].2));
    let all: String = reasons.iter().map(|(_, text, _)| text.as_str()).collect();
    assert!(all.contains("0 of "), "{all}");
    assert!(
        all.contains("by this actor") && all.contains("by its peers") && all.contains("in the tenant"),
        "{all}"
    );
    // Strangers to the threshold get names without numbers.
    let quiet = kept.iter().find(|kept| kept.risk < 40.0).unwrap();
    assert!(!quiet.reasons[0].1.contains(" of "), "{:?}", quiet.reasons);
}

#[test]
fn stored_steps_give_the_same_score_again() {
    let kept = score(&mut scorer(), &events(8, 3_000, 10, true), 256);
    for kept in kept {
        let replayed = MODEL.replay(&kept.stratum, &kept.features).unwrap();
        assert_eq!(replayed.raw, kept.raw);
        assert_eq!(
            (replayed.risk.points(), replayed.extrapolated),
            (kept.risk, kept.extrapolated)
        );
    }
    assert_eq!(MODEL.replay("human/production", &[0; FEATURES - 1]), None);
    assert_eq!(MODEL.replay("nobody", &[0; FEATURES]), None);
}

#[test]
fn an_attacker_is_not_usual_on_the_second_try() {
    let mut told = events(9, 6_000, 20, false);
    let attack = events(1, 20_000, 30, true)
        .into_iter()
        .rfind(|(.., kind)| kind.is_some())
        .unwrap()
        .0;
    let last = told.last().unwrap().1;
    let person = told
        .iter()
        .rfind(|(event, ..)| event.actor_type == changegate_types::ActorType::User)
        .unwrap()
        .0
        .actor_uid;
    let at = |minutes: i64| {
        let mut event = attack.clone();
        event.actor_uid = person;
        event.event_time = TimeMicros(last.0 + minutes * 60_000_000);
        (event.clone(), event.event_time, Some("again"))
    };
    let tries = [1, 90, 180, 600, 36 * 60, 60 * 60];
    told.extend(tries.map(at));
    let kept = score(&mut scorer(), &told, 256);
    let first_action = |nth: usize| kept[6_000 + nth].features[9];
    for nth in 0..4 {
        assert!(first_action(nth) > 0, "try {nth}");
    }
    // A day later the first ones have become part of the picture.
    assert_eq!(first_action(4), 0);
}

#[test]
fn the_year_2099_in_an_event_drives_no_clock() {
    let mut told = events(10, 2_000, 10, false);
    let plain = score(&mut scorer(), &told, 256);
    told[1_000].0.event_time = TimeMicros(START + 73 * 365 * DAY);
    let with = score(&mut scorer(), &told, 256);
    // Only the hour of the week can differ; ages and decay cannot.
    let same = plain
        .iter()
        .zip(&with)
        .skip(1_001)
        .filter(|(a, b)| a.features[17] == b.features[17])
        .count();
    assert_eq!(same, 999);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]
    #[test]
    fn a_later_event_never_changes_an_earlier_score(at in 1usize..1_200, seed in 0u64..1_000, name in "[a-z]{1,8}") {
        let mut told = events(seed, 1_200, 6, true);
        let before = score(&mut scorer(), &told, 256);
        let event = &mut told[at].0;
        event.actor_uid = leak(name.clone());
        event.api_operation = leak(name);
        event.status = changegate_types::Status::Failure;
        let after = score(&mut scorer(), &told, 256);
        prop_assert_eq!(&before[..at], &after[..at]);
        prop_assert_ne!(&before[at].features, &after[at].features);
    }
}
