//! What the policy costs: reading a target, looking it up among few and many rules, reading rules.

#![allow(
    missing_docs,
    reason = "criterion's macros make functions that are nobody's to call"
)]

use std::hint::black_box;
use std::time::Instant;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use vibepit::policy::{Entry, Origin, Rule, RuleSet, Scope, Target, Verdict};

fn rule(text: &str) -> Rule {
    let entry = text.parse().unwrap_or_else(|error| panic!("{error}"));
    Rule::new(entry, Verdict::Allow, Origin::Flag, Scope::Session)
}

fn literal(number: usize) -> String {
    format!("host{number:07}.bench.example:443")
}

fn target(text: &str) -> Target {
    text.parse()
        .unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// The same thousand targets in turn, spread over the set: the memory that a lookup touches is
/// part of what it costs.
fn targets(rules: usize) -> Vec<Target> {
    (0..1000)
        .map(|at| target(&literal(at * 7919 % rules)))
        .collect()
}

fn lookups(c: &mut Criterion) {
    let mut group = c.benchmark_group("lookup");
    group.throughput(Throughput::Elements(1));
    for count in [1, 1_000, 1_000_000] {
        let set = RuleSet::new((0..count).map(|at| rule(&literal(at))).collect());
        let mut ask = |name, targets: &[Target]| {
            let mut at = 0;
            group.bench_function(BenchmarkId::new(name, count), |b| {
                let now = Instant::now();
                b.iter(|| {
                    at = (at + 1) % targets.len();
                    let target = black_box(&targets[at]);
                    set.decide(&target.host, target.port, now)
                });
            });
        };
        ask("literal", &targets(count));
        ask("miss", &[target("www.elsewhere.example:443")]);
    }

    let mut rules: Vec<_> = (0..1_000).map(|at| rule(&literal(at))).collect();
    rules.extend(
        [
            "*.example.com",
            "**.amazonaws.com:443",
            "s3.*.example.net:*",
        ]
        .map(rule),
    );
    let set = RuleSet::new(rules);
    for (name, text) in [
        ("wildcard", "bedrock.us-east-1.amazonaws.com:443"),
        ("wildcard miss", "a.b.c.d.e.f.g.h.example.org:443"),
        ("address miss", "192.0.2.7:443"),
    ] {
        let (target, now) = (target(text), Instant::now());
        group.bench_function(name, |b| {
            b.iter(|| {
                let target = black_box(&target);
                set.decide(&target.host, target.port, now)
            });
        });
    }
    group.finish();
}

fn parsers(c: &mut Criterion) {
    let mut group = c.benchmark_group("parse");
    for (name, text) in [
        ("short", "api.example.com:443"),
        ("long", "bedrock-runtime.us-east-1.amazonaws.com:443"),
        ("address", "192.0.2.7:443"),
        ("a-label", "xn--bcher-kva.example:443"),
        ("malformed", "127.1:443"),
    ] {
        group.bench_function(BenchmarkId::new("target", name), |b| {
            b.iter(|| Target::from_authority(black_box(text.as_bytes())));
        });
    }
    for (name, text) in [
        ("literal", "api.example.com:443"),
        ("wildcard", "*.api.example.com:443"),
        ("unicode", "bücher.example:443"),
        ("network", "192.0.2.0/24:443"),
    ] {
        group.bench_function(BenchmarkId::new("entry", name), |b| {
            b.iter(|| black_box(text).parse::<Entry>());
        });
    }
    group.finish();
}

fn building(c: &mut Criterion) {
    let mut group = c.benchmark_group("build");
    group.sample_size(10);
    let count = 1_000_000;
    let json = {
        let entries: Vec<_> = (0..count).map(literal).collect();
        serde_json::to_string(&entries).unwrap_or_else(|error| panic!("{error}"))
    };
    group.bench_function("read a million entries", |b| {
        b.iter_with_large_drop(|| serde_json::from_str::<Vec<Entry>>(black_box(&json)));
    });
    group.bench_function("index a million rules", |b| {
        b.iter_batched(
            || (0..count).map(|at| rule(&literal(at))).collect(),
            RuleSet::<Rule>::new,
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

criterion_group!(benches, lookups, parsers, building);
criterion_main!(benches);
