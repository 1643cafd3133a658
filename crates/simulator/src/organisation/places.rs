//! Accounts, subscriptions, projects and clusters.

use crate::organisation::{Environment, Place, PlaceKind};
use crate::put::Put as _;
use crate::rng::Rng;

pub(super) fn places(rng: &mut Rng) -> Vec<Place> {
    const ENVIRONMENTS: [Environment; 3] = [Environment::Production, Environment::Staging, Environment::Dev];
    let mut places = Vec::new();
    let mut add = |kind, id: String, name: String, region, environment| {
        places.push(Place {
            kind,
            id,
            name,
            region,
            environment,
        });
    };
    for (number, base) in ["finance", "shop", "core", "platform"].into_iter().enumerate() {
        let region = if base == "shop" {
            "us-east-1"
        } else {
            "eu-central-1"
        };
        for environment in ENVIRONMENTS {
            let id = 100_000_000_000
                + 111_111_111 * (number as u64 * 3 + environment as u64 + 1)
                + rng.below(1000);
            add(
                PlaceKind::Aws,
                id.to_string(),
                format!("{base}-{}", environment.short()),
                region,
                environment,
            );
        }
    }
    for environment in ENVIRONMENTS {
        let mut id = Vec::new();
        crate::put::Uuid(u128::from(rng.next()) << 64 | u128::from(rng.next())).put(&mut id);
        let id = String::from_utf8_lossy(&id).into_owned();
        add(
            PlaceKind::Azure,
            id,
            format!("corp-{}", environment.short()),
            "westeurope",
            environment,
        );
    }
    for base in ["np-data", "np-ml"] {
        for environment in ENVIRONMENTS {
            let name = format!("{base}-{}", environment.short());
            add(PlaceKind::Gcp, name.clone(), name, "europe-west3", environment);
        }
    }
    for base in ["eks-eu1", "eks-us1", "gke-data", "aks-corp"] {
        for environment in ENVIRONMENTS {
            let name = format!("{base}-{}", environment.short());
            add(
                PlaceKind::Cluster,
                name.clone(),
                name,
                "eu-central-1",
                environment,
            );
        }
    }
    places
}
