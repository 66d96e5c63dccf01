//! What the pure core costs per request. `cargo bench`; figures are compared by people, never pass or fail.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a benchmark that cannot start must stop"
)]

mod world;

use std::hint::black_box;
use std::time::Duration;

use countersign::authn::TokenCache;
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use jsonwebtoken::Algorithm;
use world::{Size, World};

fn reading(criterion: &mut Criterion) {
    let world = World::new(Size::default());
    criterion.bench_function("canonicalise", |bench| {
        bench.iter_batched(
            || world.parts(),
            |parts| world.canonical(parts),
            BatchSize::SmallInput,
        );
    });
}

fn routing(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("route");
    for routes in [10, 100, 1000, 10_000] {
        let world = World::new(Size {
            routes,
            ..Size::default()
        });
        group.bench_function(routes.to_string(), |bench| {
            bench.iter_batched(
                || world.canonical(world.parts()),
                |request| request.route(&world.policy, world.now),
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

fn identifying(criterion: &mut Criterion) {
    let world = World::new(Size::default());
    let mut cache = world.warm();
    criterion.bench_function("identify/seen before", |bench| {
        bench.iter_batched(
            || world.routed(),
            |routed| world.known(routed, &mut cache),
            BatchSize::SmallInput,
        );
    });
    for algorithm in [Algorithm::RS256, Algorithm::ES256] {
        let world = World::new(Size {
            algorithm,
            ..Size::default()
        });
        let mut nothing = TokenCache::new(0);
        criterion.bench_function(&format!("identify/{algorithm:?}"), |bench| {
            bench.iter_batched(
                || world.routed(),
                |routed| world.known(routed, &mut nothing),
                BatchSize::SmallInput,
            );
        });
    }
}

fn deciding(criterion: &mut Criterion) {
    let world = World::new(Size::default());
    let mut cache = world.warm();
    criterion.bench_function("authorize", |bench| {
        bench.iter_batched(
            || world.known(world.routed(), &mut cache),
            |known| known.authorize(world.now),
            BatchSize::SmallInput,
        );
    });
}

fn vouching(criterion: &mut Criterion) {
    for (name, assertion) in [
        ("vouch/headers", false),
        ("vouch/headers and assertion", true),
    ] {
        let world = World::new(Size {
            assertion,
            ..Size::default()
        });
        let mut cache = world.warm();
        criterion.bench_function(name, |bench| {
            bench.iter_batched(
                || {
                    world
                        .known(world.routed(), &mut cache)
                        .authorize(world.now)
                        .ok()
                        .unwrap()
                },
                |allowed| allowed.vouch(&world.identity, world.now),
                BatchSize::SmallInput,
            );
        });
    }
}

/// All of it, for a token seen before.
fn whole(criterion: &mut Criterion) {
    let world = World::new(Size {
        routes: 100,
        assertion: true,
        ..Size::default()
    });
    let mut cache = world.warm();
    criterion.bench_function("whole way, seen before", |bench| {
        bench.iter_batched(
            || world.parts(),
            |parts| {
                let routed = world
                    .canonical(parts)
                    .route(&world.policy, world.now)
                    .ok()
                    .unwrap();
                let allowed = world
                    .known(routed, &mut cache)
                    .authorize(world.now)
                    .ok()
                    .unwrap();
                black_box(allowed.vouch(&world.identity, world.now).is_ok())
            },
            BatchSize::SmallInput,
        );
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    targets = reading, routing, identifying, deciding, vouching, whole
}
criterion_main!(benches);
