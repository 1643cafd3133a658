//! The words that the organisation is made of. All of them are made up.

pub(super) const FIRST: [&str; 64] = [
    "Ada", "Aiko", "Alma", "Amir", "Anil", "Anja", "Arun", "Bela", "Bruno", "Carla", "Chidi", "Clara", "Dario", "Dina",
    "Elif", "Emil", "Esra", "Farid", "Fiona", "Gita", "Goran", "Hana", "Hugo", "Ines", "Ivan", "Jana", "Jonas", "Kai",
    "Kira", "Lars", "Leila", "Lena", "Luca", "Maya", "Milan", "Mina", "Nadia", "Nils", "Noor", "Olga", "Omar", "Otto",
    "Paola", "Pavel", "Priya", "Rafael", "Rosa", "Ruben", "Sana", "Selim", "Sofia", "Sven", "Tara", "Theo", "Tomas",
    "Uma", "Vera", "Viktor", "Wanda", "Xenia", "Yara", "Yusuf", "Zara", "Zoë",
];

pub(super) const LAST: [&str; 64] = [
    "Abel", "Adair", "Arden", "Ashby", "Bianchi", "Blum", "Brandt", "Castell", "Corwin", "Dalgaard", "Demir", "Dorsey",
    "Eklund", "Ellison", "Faber", "Falk", "Ferreira", "Garnet", "Goswami", "Hale", "Hartono", "Holm", "Ibarra",
    "Iyer", "Jansen", "Joshi", "Kaplan", "Keller", "Kowal", "Laurent", "Lindqvist", "Lorca", "Madsen", "Marsh",
    "Mbeki", "Moreau", "Nair", "Novak", "Nystrom", "Okafor", "Olsen", "Ortega", "Palmer", "Pillai", "Quist",
    "Ramos", "Rossi", "Sandoval", "Sato", "Schilling", "Stroud", "Takeda", "Thorne", "Tran", "Ulrich", "Vance",
    "Vasquez", "Voss", "Wagner", "Weiss", "Winter", "Yamada", "Zeller", "O'Hara",
];

/// Key, name, services. The key is the team's project in the ticket system.
pub(super) const TEAMS: [(&str, &str, [&str; 5]); 12] = [
    ("PAY", "payments", ["payments-api", "payments-worker", "card-vault", "refund-engine", "psp-gateway"]),
    ("CHK", "checkout", ["checkout-web", "basket", "pricing", "voucher", "checkout-bff"]),
    ("LED", "ledger", ["ledger-core", "ledger-export", "reconciler", "invoice", "tax-rules"]),
    ("IDN", "identity", ["login", "profile", "session-store", "consent", "mailer"]),
    ("SRC", "search", ["search-api", "indexer", "suggest", "ranking", "crawler"]),
    ("CAT", "catalog", ["catalog-api", "catalog-admin", "image-resizer", "feed-import", "stock"]),
    ("LOG", "logistics", ["shipment", "label-print", "route-planner", "returns", "depot-sync"]),
    ("DAT", "data", ["lake-ingest", "dwh-loader", "report-api", "event-collector", "dbt-runner"]),
    ("MLX", "ml", ["recommender", "feature-store", "model-registry", "fraud-score", "notebook-hub"]),
    ("PLT", "platform", ["edge-proxy", "dns", "ci-runners", "observability", "artifact-store"]),
    ("SEC", "security", ["siem-forwarder", "vault", "cspm", "key-broker", "waf"]),
    ("CIT", "corporate", ["intranet", "hr-portal", "file-share", "mdm", "print-service"]),
];

/// What a pull request is about; the placeholder is a service.
pub(super) const TITLES: [&str; 16] = [
    "Raise memory limit of {}",
    "Add retry to {} client",
    "Rotate certificate of {}",
    "Move {} to new queue",
    "Fix time zone bug in {}",
    "Add index for slow query of {}",
    "Scale {} for sale weekend",
    "Upgrade base image of {}",
    "Remove dead flag \\\"legacy\\\" from {}",
    "Tighten IAM policy of {}",
    "Expose metrics of {}",
    "Cache answers of {}",
    "Bump {} dependencies",
    "Enable encryption at rest for {}",
    "Lower log level of {}",
    "Split {} database pool",
];
