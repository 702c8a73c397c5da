-- +goose NO TRANSACTION
-- +goose Up
-- Plans and packs are immutable per version: an edit archives the row and adds
-- one with the same code and the next version, so that who is on the old terms
-- keeps them. SQLite changes a table's rules by making it anew, which needs
-- foreign keys off, and that only outside of a transaction. Run again after a
-- crash behind COMMIT it changes nothing.
PRAGMA foreign_keys = OFF;
BEGIN IMMEDIATE;

DROP TABLE IF EXISTS plans_new;
CREATE TABLE plans_new (
    id                blob PRIMARY KEY,
    code              text NOT NULL CHECK (length(code) BETWEEN 1 AND 60),
    name              text NOT NULL CHECK (length(name) BETWEEN 1 AND 120),
    version           integer NOT NULL DEFAULT 1 CHECK (version > 0),
    price             integer NOT NULL CHECK (price >= 0),
    currency          text NOT NULL CHECK (length(currency) = 3),
    allowance         integer NOT NULL CHECK (allowance >= 0),
    every             text NOT NULL CHECK (every IN ('month', 'once')),
    excess_limit      integer NOT NULL DEFAULT 0 CHECK (excess_limit >= 0),
    sub_account_limit integer NOT NULL DEFAULT 0 CHECK (sub_account_limit >= 0),
    trial_days        integer NOT NULL DEFAULT 0,
    rate_card_id      blob NOT NULL REFERENCES rate_cards (id),
    position          integer NOT NULL DEFAULT 0,
    assumed           text NOT NULL DEFAULT '',
    note              text NOT NULL DEFAULT '' CHECK (length(note) <= 500),
    created_by        text NOT NULL DEFAULT '',
    created_at        integer NOT NULL,
    archived_at       integer NOT NULL DEFAULT 0,
    UNIQUE (code, version)
);
INSERT INTO plans_new (
    id, code, name, version, price, currency, allowance, every, excess_limit, sub_account_limit, trial_days, rate_card_id, position,
    assumed, created_at, archived_at
) SELECT
    id, code, name, max(version, 1), price, currency, allowance, every, excess_limit, sub_account_limit, trial_days, rate_card_id, position,
    assumed, created_at, archived_at
FROM plans;
DROP TABLE plans;
ALTER TABLE plans_new RENAME TO plans;
CREATE UNIQUE INDEX plans_live ON plans (code) WHERE archived_at = 0;

DROP TABLE IF EXISTS packs_new;
CREATE TABLE packs_new (
    id          blob PRIMARY KEY,
    code        text NOT NULL CHECK (length(code) BETWEEN 1 AND 60),
    name        text NOT NULL CHECK (length(name) BETWEEN 1 AND 120),
    version     integer NOT NULL DEFAULT 1 CHECK (version > 0),
    kind        text NOT NULL CHECK (kind IN ('fixed', 'quantity')),
    credits     integer NOT NULL DEFAULT 0 CHECK (credits >= 0),
    minimum     integer NOT NULL DEFAULT 0 CHECK (minimum >= 0),
    step        integer NOT NULL DEFAULT 0 CHECK (step >= 0),
    unit_price  integer NOT NULL DEFAULT 0 CHECK (unit_price >= 0),
    price       integer NOT NULL DEFAULT 0 CHECK (price >= 0),
    currency    text NOT NULL CHECK (length(currency) = 3),
    position    integer NOT NULL DEFAULT 0,
    note        text NOT NULL DEFAULT '' CHECK (length(note) <= 500),
    created_by  text NOT NULL DEFAULT '',
    created_at  integer NOT NULL,
    archived_at integer NOT NULL DEFAULT 0,
    UNIQUE (code, version),
    CHECK ((kind = 'fixed' AND credits > 0) OR (kind = 'quantity' AND minimum > 0 AND step > 0 AND unit_price > 0))
);
INSERT INTO packs_new (
    id, code, name, kind, credits, minimum, step, unit_price, price, currency, position, created_at, archived_at
) SELECT
    id, code, name, kind, credits, minimum, step, unit_price, price, currency, position, created_at, archived_at
FROM packs;
DROP TABLE packs;
ALTER TABLE packs_new RENAME TO packs;
CREATE UNIQUE INDEX packs_live ON packs (code) WHERE archived_at = 0;

-- An agency that moves to another plan at its next reset.
CREATE TABLE subscriptions_new (
    agency_id    blob NOT NULL REFERENCES agencies (id),
    id           blob NOT NULL,
    plan_id      blob NOT NULL REFERENCES plans (id),
    next_plan_id blob REFERENCES plans (id),
    status       text NOT NULL CHECK (status IN ('trialing', 'active', 'grace', 'lapsed', 'cancelled')),
    anchor_at    integer NOT NULL,
    time_zone    text NOT NULL,
    every        text NOT NULL CHECK (every IN ('month', 'once')),
    allowance    integer NOT NULL CHECK (allowance >= 0),
    period_start integer NOT NULL,
    period_end   integer NOT NULL,
    created_at   integer NOT NULL,
    ended_at     integer NOT NULL DEFAULT 0,
    PRIMARY KEY (agency_id, id),
    CHECK (period_start < period_end)
);
INSERT INTO subscriptions_new (
    agency_id, id, plan_id, status, anchor_at, time_zone, every, allowance, period_start, period_end, created_at, ended_at
) SELECT agency_id, id, plan_id, status, anchor_at, time_zone, every, allowance, period_start, period_end, created_at, ended_at FROM subscriptions;
DROP TABLE subscriptions;
ALTER TABLE subscriptions_new RENAME TO subscriptions;
CREATE UNIQUE INDEX subscriptions_live ON subscriptions (agency_id) WHERE ended_at = 0;
CREATE INDEX subscriptions_due ON subscriptions (period_end) WHERE ended_at = 0;
CREATE INDEX subscriptions_plan ON subscriptions (plan_id) WHERE ended_at = 0;

-- A row that points at nothing fails this, and with it the migration.
CREATE TEMP TABLE dangling (rows integer CHECK (rows = 0));
INSERT INTO dangling SELECT
    (SELECT count(*) FROM pragma_foreign_key_check('plans')) + (SELECT count(*) FROM pragma_foreign_key_check('plan_packs')) +
    (SELECT count(*) FROM pragma_foreign_key_check('subscriptions')) + (SELECT count(*) FROM pragma_foreign_key_check('purchases'));
DROP TABLE dangling;
COMMIT;
PRAGMA foreign_keys = ON;

-- +goose Down
PRAGMA foreign_keys = OFF;
BEGIN IMMEDIATE;

DROP TABLE IF EXISTS plans_old;
CREATE TABLE plans_old (
    id                blob PRIMARY KEY,
    code              text NOT NULL UNIQUE CHECK (length(code) BETWEEN 1 AND 60),
    name              text NOT NULL CHECK (length(name) BETWEEN 1 AND 120),
    version           integer NOT NULL DEFAULT 1,
    price             integer NOT NULL CHECK (price >= 0),
    currency          text NOT NULL CHECK (length(currency) = 3),
    allowance         integer NOT NULL CHECK (allowance >= 0),
    every             text NOT NULL CHECK (every IN ('month', 'once')),
    excess_limit      integer NOT NULL DEFAULT 0 CHECK (excess_limit >= 0),
    sub_account_limit integer NOT NULL DEFAULT 0 CHECK (sub_account_limit >= 0),
    trial_days        integer NOT NULL DEFAULT 0,
    rate_card_id      blob NOT NULL REFERENCES rate_cards (id),
    position          integer NOT NULL DEFAULT 0,
    assumed           text NOT NULL DEFAULT '',
    created_at        integer NOT NULL,
    archived_at       integer NOT NULL DEFAULT 0
);
INSERT INTO plans_old SELECT
    id, CASE WHEN archived_at > 0 AND EXISTS (SELECT 1 FROM plans o WHERE o.code = plans.code AND o.version > plans.version)
        THEN substr(code, 1, 48) || '.v' || version ELSE code END, name, version, price, currency, allowance, every,
    excess_limit, sub_account_limit, trial_days, rate_card_id, position, assumed, created_at, archived_at
FROM plans;
DROP TABLE plans;
ALTER TABLE plans_old RENAME TO plans;

DROP TABLE IF EXISTS packs_old;
CREATE TABLE packs_old (
    id          blob PRIMARY KEY,
    code        text NOT NULL UNIQUE CHECK (length(code) BETWEEN 1 AND 60),
    name        text NOT NULL CHECK (length(name) BETWEEN 1 AND 120),
    kind        text NOT NULL CHECK (kind IN ('fixed', 'quantity')),
    credits     integer NOT NULL DEFAULT 0 CHECK (credits >= 0),
    minimum     integer NOT NULL DEFAULT 0 CHECK (minimum >= 0),
    step        integer NOT NULL DEFAULT 0 CHECK (step >= 0),
    unit_price  integer NOT NULL DEFAULT 0 CHECK (unit_price >= 0),
    price       integer NOT NULL DEFAULT 0 CHECK (price >= 0),
    currency    text NOT NULL CHECK (length(currency) = 3),
    position    integer NOT NULL DEFAULT 0,
    created_at  integer NOT NULL,
    archived_at integer NOT NULL DEFAULT 0,
    CHECK ((kind = 'fixed' AND credits > 0) OR (kind = 'quantity' AND minimum > 0 AND step > 0 AND unit_price > 0))
);
INSERT INTO packs_old SELECT
    id, CASE WHEN archived_at > 0 AND EXISTS (SELECT 1 FROM packs o WHERE o.code = packs.code AND o.version > packs.version)
        THEN substr(code, 1, 48) || '.v' || version ELSE code END, name, kind, credits, minimum, step, unit_price,
    price, currency, position, created_at, archived_at
FROM packs;
DROP TABLE packs;
ALTER TABLE packs_old RENAME TO packs;

DROP INDEX subscriptions_plan;
ALTER TABLE subscriptions DROP COLUMN next_plan_id;
COMMIT;
PRAGMA foreign_keys = ON;
