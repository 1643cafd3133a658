//! Sites, addresses, and what is known about them. All from ranges reserved for documentation and benchmarks.

use crate::put::Ip;
use crate::rng::Rng;

pub(crate) struct Site {
    pub(crate) country: &'static str,
    pub(crate) code: &'static str,
    pub(crate) city: &'static str,
    /// Minutes east of UTC. Summer time is left out: habits drift slower than clocks do.
    pub(crate) offset_min: i64,
}

pub(crate) const SITES: [Site; 3] = [
    Site {
        country: "Germany",
        code: "DE",
        city: "Hamburg",
        offset_min: 60,
    },
    Site {
        country: "United States",
        code: "US",
        city: "Austin",
        offset_min: -360,
    },
    Site {
        country: "India",
        code: "IN",
        city: "Pune",
        offset_min: 330,
    },
];

/// Countries that travellers and attackers come from.
const ELSEWHERE: [(&str, &str, &str); 6] = [
    ("Portugal", "PT", "Lisbon"),
    ("Japan", "JP", "Osaka"),
    ("Brazil", "BR", "Recife"),
    ("Canada", "CA", "Halifax"),
    ("Iceland", "IS", "Akureyri"),
    ("Kenya", "KE", "Mombasa"),
];

/// What is known about an address.
pub(crate) struct Geo {
    pub(crate) country: &'static str,
    pub(crate) code: &'static str,
    pub(crate) city: &'static str,
    pub(crate) as_number: u64,
    pub(crate) as_org: &'static str,
}

/// What a lookup service would say about an address of this world.
pub(crate) fn geo(ip: Ip) -> Geo {
    let [a, b, c, d] = ip.0.to_be_bytes();
    let of_site = |site: usize, as_number, as_org| {
        let site = &SITES[site % SITES.len()];
        Geo {
            country: site.country,
            code: site.code,
            city: site.city,
            as_number,
            as_org,
        }
    };
    match (a, b) {
        (203, 0) => of_site(usize::from(d >> 6), 64_500, "Northwind Parcels Office"),
        (198, 18) => of_site(
            usize::from(c >> 6),
            64_510 + u64::from(c & 7),
            "Example Broadband",
        ),
        (198, 19) => {
            let (country, code, city) = ELSEWHERE[usize::from(c) % ELSEWHERE.len()];
            let hosting = c >= 100;
            let as_org = if hosting {
                "Example Hosting"
            } else {
                "Example Mobile"
            };
            Geo {
                country,
                code,
                city,
                as_number: 64_530 + u64::from(c % 20),
                as_org,
            }
        }
        (198, _) => of_site(1, 64_501, "Example Runners"),
        _ => of_site(1, 64_502, "Example Cloud"),
    }
}

/// Where travellers are.
pub(crate) fn travel_address(rng: &mut Rng) -> Ip {
    Ip(0xc613_0000 + ((rng.below(100) as u32) << 8) + rng.below(254) as u32 + 1)
}

/// Where attackers are.
pub(crate) fn hostile_address(rng: &mut Rng) -> Ip {
    Ip(0xc613_0000 + ((100 + rng.below(100) as u32) << 8) + rng.below(254) as u32 + 1)
}
