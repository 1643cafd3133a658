//! Inserts of a process that stands still land when others have its partition: what readers see is what was sent.

use changegate_pipeline::Ledger as _;
use changegate_tests::{Config, Moment, Proxy, Rule, Served, Site, send_cloudtrail, small, until};

const RECORDS: u64 = 1_000;

/// A process of the group that decides by a rule of its own, and a proxy before its ClickHouse.
fn process(site: &Site, name: &str, number: usize, approve_from: &str) -> (Config, Proxy) {
    let proxy = Proxy::start(site.clickhouse.http_port());
    let mut config = small(site, name)
        .with("batch.rows", "400")
        .with("batch.block", "100")
        .with("decision.approve_from", approve_from)
        .with("decision.learning_period", "\"0h\"")
        .with("decision.budget_per_hour", "1000000");
    // Whoever has one partition of two would end.
    config.topics[0].2 = 1;
    config.instance = format!("{name}_{number}");
    config.clickhouse = proxy.url();
    (config, proxy)
}

/// Starts it and lets it stand still with an insert of `changes` sent that the server has not seen.
fn frozen(site: &Site, config: &Config, proxy: &Proxy) -> Served {
    proxy.arm(Rule {
        table: "changes",
        moment: Moment::Held,
        nth: 1,
    });
    let mut program = config.serve(site);
    until("an insert is under way", || {
        program.check();
        proxy.reached().then_some(())
    });
    program.freeze();
    program
}

pub(crate) fn a_row_that_lands_late_asks_nobody(site: &Site) {
    let (first, held) = process(site, "late", 1, "20.0");
    let (second, _) = process(site, "late", 2, "40.0");
    // The late insert is another one than any of the second's.
    let second = second.with("batch.rows", "300");
    first.create_topics(site);
    let ledger = site.database("late");
    send_cloudtrail(site, "late.raw", 11, RECORDS);
    let program = frozen(site, &first, &held);
    let mut successor = second.serve(site);
    site.read_to_the_end(&second, &mut successor);
    held.send_on();
    program.kill();
    assert!(successor.terminate().0.success());
    let copies = site
        .ledger("late")
        .settle_copies(None)
        .expect("the ledger answers");
    println!("  {} rows landed late", copies.late_inserts);
    assert!(copies.late_inserts > 0, "else nothing is proven");
    site.assert_sent(&ledger, &second);
}
