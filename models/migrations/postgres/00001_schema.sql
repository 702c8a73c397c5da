-- +goose Up
-- Instants are microseconds since 1970 UTC (0: not yet; 9223372036854775807: never).
-- Credits are millionths. Money is minor units. Ids are UUIDv7.
-- Every table of a tenant has agency_id as the first column of each key.

CREATE TABLE settings (
    name  text PRIMARY KEY,
    value text NOT NULL
);

CREATE TABLE rate_cards (
    id         uuid PRIMARY KEY,
    code       text NOT NULL UNIQUE CHECK (length(code) BETWEEN 1 AND 60),
    name       text NOT NULL CHECK (length(name) BETWEEN 1 AND 120),
    created_at bigint NOT NULL
);

-- A version is immutable once used: correcting means publishing the next one.
CREATE TABLE rate_card_versions (
    card_id      uuid NOT NULL REFERENCES rate_cards (id),
    number       integer NOT NULL CHECK (number > 0),
    effective_at bigint NOT NULL,
    rates        text NOT NULL,
    note         text NOT NULL DEFAULT '',
    created_by   text NOT NULL,
    created_at   bigint NOT NULL,
    PRIMARY KEY (card_id, number)
);

CREATE TABLE plans (
    id                uuid PRIMARY KEY,
    code              text NOT NULL UNIQUE CHECK (length(code) BETWEEN 1 AND 60),
    name              text NOT NULL CHECK (length(name) BETWEEN 1 AND 120),
    version           integer NOT NULL DEFAULT 1,
    price             bigint NOT NULL CHECK (price >= 0),
    currency          text NOT NULL CHECK (length(currency) = 3),
    allowance         bigint NOT NULL CHECK (allowance >= 0),
    every             text NOT NULL CHECK (every IN ('month', 'once')),
    excess_limit      bigint NOT NULL DEFAULT 0 CHECK (excess_limit >= 0),
    sub_account_limit integer NOT NULL DEFAULT 0 CHECK (sub_account_limit >= 0),
    trial_days        integer NOT NULL DEFAULT 0,
    rate_card_id      uuid NOT NULL REFERENCES rate_cards (id),
    position          integer NOT NULL DEFAULT 0,
    assumed           text NOT NULL DEFAULT '',
    created_at        bigint NOT NULL,
    archived_at       bigint NOT NULL DEFAULT 0
);

CREATE TABLE packs (
    id          uuid PRIMARY KEY,
    code        text NOT NULL UNIQUE CHECK (length(code) BETWEEN 1 AND 60),
    name        text NOT NULL CHECK (length(name) BETWEEN 1 AND 120),
    kind        text NOT NULL CHECK (kind IN ('fixed', 'quantity')),
    credits     bigint NOT NULL DEFAULT 0 CHECK (credits >= 0),
    minimum     bigint NOT NULL DEFAULT 0 CHECK (minimum >= 0),
    step        bigint NOT NULL DEFAULT 0 CHECK (step >= 0),
    unit_price  bigint NOT NULL DEFAULT 0 CHECK (unit_price >= 0),
    price       bigint NOT NULL DEFAULT 0 CHECK (price >= 0),
    currency    text NOT NULL CHECK (length(currency) = 3),
    position    integer NOT NULL DEFAULT 0,
    created_at  bigint NOT NULL,
    archived_at bigint NOT NULL DEFAULT 0,
    CHECK ((kind = 'fixed' AND credits > 0) OR (kind = 'quantity' AND minimum > 0 AND step > 0 AND unit_price > 0))
);

CREATE TABLE plan_packs (
    plan_id uuid NOT NULL REFERENCES plans (id),
    pack_id uuid NOT NULL REFERENCES packs (id),
    PRIMARY KEY (plan_id, pack_id)
);

CREATE TABLE agencies (
    id            uuid PRIMARY KEY,
    external_id   text NOT NULL UNIQUE CHECK (length(external_id) BETWEEN 1 AND 100),
    name          text NOT NULL CHECK (length(name) BETWEEN 1 AND 120),
    host          text NOT NULL UNIQUE,
    time_zone     text NOT NULL,
    currency      text NOT NULL CHECK (length(currency) = 3),
    status        text NOT NULL CHECK (status IN ('active', 'suspended')),
    wallet_id     uuid NOT NULL,
    rate_card_id  uuid REFERENCES rate_cards (id),
    slots         text NOT NULL DEFAULT '',
    usage_rolled  bigint NOT NULL DEFAULT 0,
    created_at    bigint NOT NULL
);

CREATE TABLE subscriptions (
    agency_id    uuid NOT NULL REFERENCES agencies (id),
    id           uuid NOT NULL,
    plan_id      uuid NOT NULL REFERENCES plans (id),
    status       text NOT NULL CHECK (status IN ('trialing', 'active', 'grace', 'lapsed', 'cancelled')),
    anchor_at    bigint NOT NULL,
    time_zone    text NOT NULL,
    every        text NOT NULL CHECK (every IN ('month', 'once')),
    allowance    bigint NOT NULL CHECK (allowance >= 0),
    period_start bigint NOT NULL,
    period_end   bigint NOT NULL,
    created_at   bigint NOT NULL,
    ended_at     bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (agency_id, id),
    CHECK (period_start < period_end)
);
CREATE UNIQUE INDEX subscriptions_live ON subscriptions (agency_id) WHERE ended_at = 0;
CREATE INDEX subscriptions_due ON subscriptions (period_end) WHERE ended_at = 0;

CREATE TABLE sub_accounts (
    agency_id   uuid NOT NULL REFERENCES agencies (id),
    id          uuid NOT NULL,
    external_id text NOT NULL CHECK (length(external_id) BETWEEN 1 AND 100),
    name        text NOT NULL CHECK (length(name) BETWEEN 1 AND 120),
    wallet_id   uuid NOT NULL,
    time_zone   text NOT NULL,
    status      text NOT NULL CHECK (status IN ('active', 'archived')),
    created_at  bigint NOT NULL,
    PRIMARY KEY (agency_id, id),
    UNIQUE (agency_id, external_id)
);

CREATE TABLE users (
    id            uuid PRIMARY KEY,
    email         text NOT NULL UNIQUE CHECK (length(email) BETWEEN 3 AND 254),
    name          text NOT NULL CHECK (length(name) BETWEEN 1 AND 120),
    password_hash text NOT NULL,
    platform_role text NOT NULL DEFAULT '' CHECK (platform_role IN ('', 'admin')),
    disabled_at   bigint NOT NULL DEFAULT 0,
    created_at    bigint NOT NULL
);

CREATE TABLE members (
    agency_id      uuid NOT NULL REFERENCES agencies (id),
    user_id        uuid NOT NULL REFERENCES users (id),
    role           text NOT NULL CHECK (role IN ('owner', 'billing', 'member', 'client')),
    sub_account_id uuid,
    created_at     bigint NOT NULL,
    PRIMARY KEY (agency_id, user_id),
    CHECK ((role = 'client') = (sub_account_id IS NOT NULL))
);

-- Sessions keep only SHA-256 of the id the browser holds.
CREATE TABLE sessions (
    id_hash      bytea PRIMARY KEY,
    user_id      uuid REFERENCES users (id),
    data         bytea NOT NULL,
    created_at   bigint NOT NULL,
    last_seen_at bigint NOT NULL,
    expires_at   bigint NOT NULL
);
CREATE INDEX sessions_user ON sessions (user_id);
CREATE INDEX sessions_expiry ON sessions (expires_at);

CREATE TABLE sign_in_links (
    token_hash bytea PRIMARY KEY,
    user_id    uuid NOT NULL REFERENCES users (id),
    expires_at bigint NOT NULL,
    uses_left  integer NOT NULL CHECK (uses_left >= 0)
);

CREATE TABLE sign_in_attempts (
    subject  text NOT NULL,
    window_start bigint NOT NULL,
    failures integer NOT NULL,
    PRIMARY KEY (subject, window_start)
);

CREATE TABLE api_keys (
    id           uuid PRIMARY KEY,
    agency_id    uuid REFERENCES agencies (id),
    name         text NOT NULL,
    key_hash     bytea NOT NULL UNIQUE,
    hint         text NOT NULL,
    created_at   bigint NOT NULL,
    revoked_at   bigint NOT NULL DEFAULT 0
);

CREATE TABLE audit_log (
    id         uuid PRIMARY KEY,
    agency_id  uuid,
    actor      text NOT NULL,
    action     text NOT NULL,
    target     text NOT NULL,
    detail     text NOT NULL DEFAULT '',
    reason     text NOT NULL DEFAULT '',
    created_at bigint NOT NULL
);
CREATE INDEX audit_log_agency ON audit_log (agency_id, id);

-- The ledger. Only package ledger writes the tables from here to usage_days.

CREATE TABLE wallets (
    agency_id      uuid NOT NULL,
    id             uuid NOT NULL,
    sub_account_id uuid,
    status         text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'suspended', 'closed')),
    held           bigint NOT NULL DEFAULT 0 CHECK (held >= 0),
    excess         bigint NOT NULL DEFAULT 0 CHECK (excess >= 0),
    excess_limit   bigint NOT NULL DEFAULT 0 CHECK (excess_limit >= 0),
    funding        text NOT NULL DEFAULT 'prepaid' CHECK (funding IN ('prepaid', 'pooled')),
    pool_wallet_id uuid,
    pool_cap       bigint NOT NULL DEFAULT 0 CHECK (pool_cap >= 0),
    pool_every     text NOT NULL DEFAULT 'cycle' CHECK (pool_every IN ('day', 'cycle')),
    pool_drawn     bigint NOT NULL DEFAULT 0 CHECK (pool_drawn >= 0),
    pool_since     bigint NOT NULL DEFAULT 0,
    cycle_start    bigint NOT NULL DEFAULT 0,
    promised       bigint NOT NULL DEFAULT 0 CHECK (promised >= 0),
    low_at         bigint NOT NULL DEFAULT 0,
    critical_at    bigint NOT NULL DEFAULT 0,
    agency_excess  bigint NOT NULL DEFAULT 0 CHECK (agency_excess >= 0),
    agency_ceiling bigint NOT NULL DEFAULT 0 CHECK (agency_ceiling >= 0),
    used_at        bigint NOT NULL DEFAULT 0,
    created_at     bigint NOT NULL,
    -- What every charge changes stands together: PostgreSQL logs the bytes from the first changed to the last.
    last_at        bigint NOT NULL DEFAULT 0,
    seq            bigint NOT NULL DEFAULT 0 CHECK (seq >= 0),
    balance        bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (agency_id, id)
) WITH (fillfactor = 50);
COMMENT ON COLUMN wallets.pool_cap IS 'most the pool pays per pool_every; 0 is no cap when pooled and no fallback when prepaid';

-- Which agency a wallet id belongs to; never changes.
CREATE TABLE wallet_directory (
    wallet_id uuid PRIMARY KEY,
    agency_id uuid NOT NULL
);

CREATE TABLE lots (
    agency_id     uuid NOT NULL,
    id            uuid NOT NULL,
    wallet_id     uuid NOT NULL,
    source        text NOT NULL CHECK (source IN ('plan', 'purchase', 'assigned', 'referral', 'promo', 'adjustment')),
    priority      integer NOT NULL,
    granted       bigint NOT NULL CHECK (granted > 0),
    remaining     bigint NOT NULL CHECK (remaining >= 0),
    held          bigint NOT NULL DEFAULT 0 CHECK (held >= 0),
    open          boolean NOT NULL,
    frozen        boolean NOT NULL DEFAULT false,
    effective_at  bigint NOT NULL,
    expires_at    bigint NOT NULL,
    unit_cost     bigint NOT NULL DEFAULT 0 CHECK (unit_cost >= 0),
    cost          bigint NOT NULL DEFAULT 0 CHECK (cost >= 0),
    currency      text NOT NULL DEFAULT '',
    purchase_id   uuid,
    parent_lot_id uuid,
    period_start  bigint NOT NULL DEFAULT 0,
    note          text NOT NULL DEFAULT '' CHECK (length(note) <= 500),
    created_at    bigint NOT NULL,
    PRIMARY KEY (agency_id, id),
    FOREIGN KEY (agency_id, wallet_id) REFERENCES wallets (agency_id, id),
    CHECK (remaining + held <= granted),
    CHECK (open = (remaining > 0 OR held > 0)),
    CHECK (effective_at < expires_at)
) WITH (fillfactor = 50);
CREATE INDEX lots_open ON lots (agency_id, wallet_id) WHERE open;
CREATE INDEX lots_wallet ON lots (agency_id, wallet_id, id);
CREATE INDEX lots_expiring ON lots (expires_at) WHERE open AND expires_at < 9223372036854775807;
CREATE UNIQUE INDEX lots_one_allowance ON lots (agency_id, wallet_id, period_start) WHERE source = 'plan' AND period_start > 0 AND parent_lot_id IS NULL;
CREATE UNIQUE INDEX lots_one_grant ON lots (agency_id, purchase_id) WHERE purchase_id IS NOT NULL AND parent_lot_id IS NULL;

-- Append-only: one row is one movement of one lot, or of excess.
CREATE TABLE entries (
    agency_id uuid NOT NULL,
    wallet_id uuid NOT NULL,
    seq       bigint NOT NULL CHECK (seq > 0),
    act_id    uuid NOT NULL,
    lot_id    uuid,
    kind      smallint NOT NULL,
    amount    bigint NOT NULL CHECK (amount > 0),
    balance   bigint NOT NULL,
    at        bigint NOT NULL,
    PRIMARY KEY (agency_id, wallet_id, seq)
);

-- What caused entries that are neither charges nor holds.
CREATE TABLE acts (
    agency_id       uuid NOT NULL,
    id              uuid NOT NULL,
    wallet_id       uuid NOT NULL,
    kind            text NOT NULL,
    credits         bigint NOT NULL,
    actor           text NOT NULL,
    note            text NOT NULL DEFAULT '' CHECK (length(note) <= 500),
    reference       text NOT NULL DEFAULT '',
    other_wallet_id uuid,
    idempotency_key text,
    fingerprint     bytea,
    seq             bigint NOT NULL DEFAULT 0,
    other_seq       bigint NOT NULL DEFAULT 0,
    created_at      bigint NOT NULL,
    PRIMARY KEY (agency_id, id)
);
CREATE UNIQUE INDEX acts_key ON acts (agency_id, idempotency_key) WHERE idempotency_key IS NOT NULL;

CREATE TABLE charges (
    agency_id       uuid NOT NULL,
    id              uuid NOT NULL,
    wallet_id       uuid NOT NULL,
    idempotency_key text COLLATE "C" NOT NULL CHECK (length(idempotency_key) BETWEEN 1 AND 255),
    fingerprint     bytea NOT NULL,
    action          text NOT NULL,
    model           text NOT NULL DEFAULT '',
    usage           text NOT NULL DEFAULT '',
    metadata        text NOT NULL DEFAULT '',
    credits         bigint NOT NULL CHECK (credits >= 0),
    would_cost      bigint NOT NULL DEFAULT 0,
    units           bigint NOT NULL DEFAULT 1,
    card_id         uuid NOT NULL,
    card_version    integer NOT NULL,
    test            boolean NOT NULL DEFAULT false,
    late            boolean NOT NULL DEFAULT false,
    hold_id         uuid,
    seq             bigint NOT NULL DEFAULT 0,
    pool_wallet_id  uuid,
    pool_seq        bigint NOT NULL DEFAULT 0,
    after_plan      bigint NOT NULL,
    after_purchased bigint NOT NULL,
    after_assigned  bigint NOT NULL,
    after_bonus     bigint NOT NULL,
    after_held      bigint NOT NULL,
    after_excess    bigint NOT NULL,
    state           text NOT NULL,
    occurred_at     bigint NOT NULL,
    created_at      bigint NOT NULL,
    PRIMARY KEY (agency_id, id)
);
CREATE UNIQUE INDEX charges_key ON charges (agency_id, idempotency_key);

CREATE TABLE reversals (
    agency_id       uuid NOT NULL,
    charge_id       uuid NOT NULL,
    id              uuid NOT NULL,
    idempotency_key text NOT NULL,
    reason          text NOT NULL DEFAULT '' CHECK (length(reason) <= 500),
    credits         bigint NOT NULL,
    created_at      bigint NOT NULL,
    PRIMARY KEY (agency_id, charge_id)
);

CREATE TABLE holds (
    agency_id       uuid NOT NULL,
    id              uuid NOT NULL,
    wallet_id       uuid NOT NULL,
    idempotency_key text COLLATE "C" NOT NULL CHECK (length(idempotency_key) BETWEEN 1 AND 255),
    fingerprint     bytea NOT NULL,
    action          text NOT NULL,
    model           text NOT NULL DEFAULT '',
    credits         bigint NOT NULL CHECK (credits > 0),
    promised        bigint NOT NULL DEFAULT 0 CHECK (promised >= 0),
    draws           text NOT NULL,
    state           text NOT NULL CHECK (state IN ('open', 'captured', 'released', 'expired')),
    expires_at      bigint NOT NULL,
    ended_at        bigint NOT NULL DEFAULT 0,
    created_at      bigint NOT NULL,
    PRIMARY KEY (agency_id, id)
);
CREATE UNIQUE INDEX holds_key ON holds (agency_id, idempotency_key);
CREATE INDEX holds_open ON holds (agency_id, wallet_id) WHERE state = 'open';
CREATE INDEX holds_expiring ON holds (expires_at) WHERE state = 'open';

-- Written in the charge's own transaction; every chart, total and CSV reads it.
CREATE TABLE usage_quarters (
    agency_id      uuid NOT NULL,
    quarter        bigint NOT NULL,
    paid_wallet_id uuid NOT NULL,
    wallet_id      uuid NOT NULL,
    action         text NOT NULL,
    model          text NOT NULL,
    plan           bigint NOT NULL DEFAULT 0,
    purchased      bigint NOT NULL DEFAULT 0,
    assigned       bigint NOT NULL DEFAULT 0,
    bonus          bigint NOT NULL DEFAULT 0,
    excess         bigint NOT NULL DEFAULT 0,
    units          bigint NOT NULL DEFAULT 0,
    charges        bigint NOT NULL DEFAULT 0,
    tests          bigint NOT NULL DEFAULT 0,
    first_seq      bigint NOT NULL DEFAULT 0,
    last_seq       bigint NOT NULL DEFAULT 0,
    balance        bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (agency_id, quarter, paid_wallet_id, wallet_id, action, model)
) WITH (fillfactor = 50);

CREATE TABLE usage_days (
    agency_id      uuid NOT NULL,
    day            bigint NOT NULL,
    paid_wallet_id uuid NOT NULL,
    wallet_id      uuid NOT NULL,
    action         text NOT NULL,
    model          text NOT NULL,
    plan           bigint NOT NULL,
    purchased      bigint NOT NULL,
    assigned       bigint NOT NULL,
    bonus          bigint NOT NULL,
    excess         bigint NOT NULL,
    units          bigint NOT NULL,
    charges        bigint NOT NULL,
    tests          bigint NOT NULL,
    PRIMARY KEY (agency_id, day, paid_wallet_id, wallet_id, action, model)
);

-- Buying.

CREATE TABLE purchases (
    agency_id        uuid NOT NULL REFERENCES agencies (id),
    id               uuid NOT NULL,
    wallet_id        uuid NOT NULL,
    pack_id          uuid NOT NULL REFERENCES packs (id),
    pack_name        text NOT NULL,
    credits          bigint NOT NULL CHECK (credits > 0),
    price            bigint NOT NULL CHECK (price >= 0),
    currency         text NOT NULL,
    status           text NOT NULL CHECK (status IN ('open', 'processing', 'credited', 'failed', 'expired', 'cancelled', 'review', 'refunded', 'disputed')),
    status_note      text NOT NULL DEFAULT '',
    idempotency_key  text NOT NULL,
    fingerprint      bytea NOT NULL,
    bought_by        text NOT NULL DEFAULT '',
    account          text NOT NULL DEFAULT '',
    live             boolean NOT NULL DEFAULT false,
    checkout_session text NOT NULL DEFAULT '',
    checkout_url     text NOT NULL DEFAULT '',
    payment_intent   text NOT NULL DEFAULT '',
    receipt_url      text NOT NULL DEFAULT '',
    receipt_number   bigint NOT NULL DEFAULT 0,
    act_id           uuid,
    balance_before   bigint NOT NULL DEFAULT 0,
    balance_after    bigint NOT NULL DEFAULT 0,
    expires_at       bigint NOT NULL,
    checked_at       bigint NOT NULL DEFAULT 0,
    paid_at          bigint NOT NULL DEFAULT 0,
    credited_at      bigint NOT NULL DEFAULT 0,
    created_at       bigint NOT NULL,
    PRIMARY KEY (agency_id, id),
    UNIQUE (agency_id, idempotency_key)
);
CREATE INDEX purchases_wallet ON purchases (agency_id, wallet_id, id);
CREATE INDEX purchases_pending ON purchases (checked_at) WHERE status IN ('open', 'processing');

-- Stripe's ids to our purchase; a payment intent can stand here only once, so
-- one payment can never be granted to two purchases.
CREATE TABLE payment_refs (
    ref         text PRIMARY KEY,
    agency_id   uuid NOT NULL,
    purchase_id uuid NOT NULL
);

CREATE TABLE stripe_events (
    endpoint     text NOT NULL,
    event_id     text NOT NULL,
    type         text NOT NULL,
    account      text NOT NULL DEFAULT '',
    object_id    text NOT NULL DEFAULT '',
    reference    text NOT NULL DEFAULT '',
    api_version  text NOT NULL DEFAULT '',
    live         boolean NOT NULL DEFAULT false,
    payload      bytea NOT NULL,
    state        text NOT NULL CHECK (state IN ('pending', 'processed', 'ignored', 'dead')),
    note         text NOT NULL DEFAULT '',
    attempts     integer NOT NULL DEFAULT 0,
    next_at      bigint NOT NULL,
    received_at  bigint NOT NULL,
    processed_at bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (endpoint, event_id)
);
CREATE INDEX stripe_events_pending ON stripe_events (next_at) WHERE state = 'pending';

-- +goose StatementBegin
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'table % is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;
-- +goose StatementEnd
CREATE TRIGGER entries_append_only BEFORE UPDATE OR DELETE ON entries FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE ON audit_log FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER versions_immutable BEFORE UPDATE OR DELETE ON rate_card_versions FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- +goose Down
DROP TABLE stripe_events, payment_refs, purchases, usage_days, usage_quarters, holds, reversals, charges, acts, entries,
    lots, wallet_directory, wallets, audit_log, api_keys, sign_in_attempts, sign_in_links, sessions, members, users,
    sub_accounts, subscriptions, agencies, plan_packs, packs, plans, rate_card_versions, rate_cards, settings;
DROP FUNCTION refuse_change();
