//! What a process tells at `/metrics`, read back.

use std::collections::BTreeMap;

use crate::Metric;

/// The values of one process at one moment.
#[derive(Clone, Debug, Default)]
pub struct Samples(Vec<Sample>);

#[derive(Clone, Debug, PartialEq)]
struct Sample {
    name: String,
    labels: Vec<(String, String)>,
    value: f64,
}

impl Sample {
    fn label(&self, name: &str) -> Option<&str> {
        let found = self.labels.iter().find(|(own, _)| own == name);
        found.map(|(_, value)| value.as_str())
    }
}

impl Samples {
    /// Reads Prometheus' text format; a line that is none of it is left out.
    pub fn parse(text: &str) -> Self {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        Self(lines.filter_map(sample).collect())
    }

    /// Whether the process tells this metric.
    pub fn has(&self, metric: Metric) -> bool {
        self.of(metric.name()).next().is_some()
    }

    /// The sum over all labels.
    pub fn sum(&self, metric: Metric) -> f64 {
        self.of(metric.name()).map(|sample| sample.value).sum()
    }

    /// The largest over all labels; 0 where there is none.
    pub fn max(&self, metric: Metric) -> f64 {
        self.of(metric.name())
            .map(|sample| sample.value)
            .fold(0.0, f64::max)
    }

    /// The sums by the values of one label, without those that are 0.
    pub fn by(&self, metric: Metric, label: &str) -> BTreeMap<String, f64> {
        let mut sums = BTreeMap::new();
        for sample in self.of(metric.name()).filter(|sample| sample.value != 0.0) {
            let value = sample.label(label).unwrap_or_default().to_owned();
            *sums.entry(value).or_default() += sample.value;
        }
        sums
    }

    /// The labels of a metric that is 1 for what is in use.
    pub fn info(&self, metric: Metric, label: &str) -> &str {
        let mut found = self.of(metric.name()).filter(|sample| sample.value == 1.0);
        found
            .next()
            .and_then(|sample| sample.label(label))
            .unwrap_or_default()
    }

    /// The quantile of a histogram, as `histogram_quantile` has it: linear within a bucket, the last bound for what lies
    /// above. `None` before the first value.
    pub fn quantile(&self, metric: Metric, quantile: f64) -> Option<f64> {
        let name = format!("{}_bucket", metric.name());
        let mut counts: Vec<(f64, f64)> = Vec::new();
        for sample in self.of(&name) {
            let bound: f64 = sample.label("le")?.parse().ok()?;
            match counts.iter_mut().find(|(known, _)| *known == bound) {
                Some((_, count)) => *count += sample.value,
                None => counts.push((bound, sample.value)),
            }
        }
        counts.sort_by(|(one, _), (other, _)| one.total_cmp(other));
        let all = counts.last().filter(|(_, all)| *all > 0.0)?.1;
        let rank = quantile * all;
        let (mut low, mut before) = (0.0, 0.0);
        for (bound, count) in counts {
            if count >= rank && bound.is_infinite() {
                return Some(low);
            }
            if count >= rank && count > before {
                return Some(low + (bound - low) * (rank - before) / (count - before));
            }
            (low, before) = (bound, count);
        }
        Some(low)
    }

    fn of(&self, name: &str) -> impl Iterator<Item = &Sample> {
        self.0.iter().filter(move |sample| sample.name == name)
    }
}

/// `name{label="value",…} number`
fn sample(line: &str) -> Option<Sample> {
    let (head, number) = line.rsplit_once(' ')?;
    let value = number.parse().ok()?;
    let Some((name, labels)) = head.split_once('{') else {
        return Some(Sample {
            name: head.to_owned(),
            labels: Vec::new(),
            value,
        });
    };
    let mut rest = labels.strip_suffix('}')?;
    let mut found = Vec::new();
    while let Some((label, after)) = rest.split_once("=\"") {
        let (text, after) = quoted(after)?;
        found.push((label.trim_start_matches(',').to_owned(), text));
        rest = after;
    }
    Some(Sample {
        name: name.to_owned(),
        labels: found,
        value,
    })
}

/// Text up to its closing quote, with `\\`, `\"` and `\n` undone; and what follows.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut plain = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((plain, text.get(at + 1..)?)),
            '\\' => plain.push(match chars.next()?.1 {
                'n' => '\n',
                other => other,
            }),
            other => plain.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Metrics;

    #[test]
    fn what_is_told_is_read_back() {
        let metrics = Metrics::new();
        let lag = |topic, partition, value: f64| {
            metrics.gauge(Metric::LagRecords, &[topic, partition]).set(value);
        };
        lag("a \"b\" \\ {c},d=\"", "0", 2.0);
        lag("a \"b\" \\ {c},d=\"", "1", 3.0);
        lag("plain", "0", 0.0);
        metrics.gauge(Metric::ModelInfo, &["base", "3", "5f0c"]).set(1.0);
        let samples = Samples::parse(&metrics.render());
        assert_eq!(samples.sum(Metric::LagRecords), 5.0);
        assert_eq!(samples.max(Metric::LagRecords), 3.0);
        let by = samples.by(Metric::LagRecords, "topic");
        assert_eq!(by, BTreeMap::from([("a \"b\" \\ {c},d=\"".to_owned(), 5.0)]));
        assert_eq!(samples.info(Metric::ModelInfo, "version"), "3");
        assert!(samples.has(Metric::WorkersFenced) && !samples.has(Metric::Inserts));
        assert_eq!(samples.sum(Metric::WorkersFenced), 0.0);
    }

    #[test]
    fn quantiles_are_those_of_the_buckets() {
        let metrics = Metrics::new();
        let told = |metrics: &Metrics| Samples::parse(&metrics.render());
        assert_eq!(told(&metrics).quantile(Metric::EndToEndSeconds, 0.5), None);
        let seconds = metrics.histogram(Metric::EndToEndSeconds, &[]);
        // Buckets end at 0.1, 0.25, …, 604,800.
        seconds.record_many(0.2, 50);
        seconds.record_many(2.0, 50);
        let samples = told(&metrics);
        let quantile = |q| samples.quantile(Metric::EndToEndSeconds, q).unwrap();
        assert!((quantile(0.25) - 0.175).abs() < 1e-9);
        assert!((quantile(0.5) - 0.25).abs() < 1e-9);
        assert!((quantile(0.75) - 1.75).abs() < 1e-9);
        seconds.record_many(1e9, 900);
        let late = told(&metrics).quantile(Metric::EndToEndSeconds, 0.99);
        assert_eq!(late, Some(604_800.0));
    }

    #[test]
    fn what_is_no_sample_is_left_out() {
        for line in ["", "<html>", "a{b=\"c} 1", "a{b=\"c\" 1", "a one", "a{b=\"\\"] {
            assert_eq!(Samples::parse(line).0, [], "{line}");
        }
    }
}
