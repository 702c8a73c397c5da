-- +goose Up
-- How often a plan's price is paid; its credits may come every month of a paid year.
ALTER TABLE plans ADD COLUMN paid_every text NOT NULL DEFAULT 'month' CHECK (paid_every IN ('month', 'year'));

-- The terms a subscription began with, and where its payment stands.
ALTER TABLE subscriptions ADD COLUMN plan_version integer NOT NULL DEFAULT 1 CHECK (plan_version > 0);
ALTER TABLE subscriptions ADD COLUMN price integer NOT NULL DEFAULT 0 CHECK (price >= 0);
ALTER TABLE subscriptions ADD COLUMN currency text NOT NULL DEFAULT '';
ALTER TABLE subscriptions ADD COLUMN paid_every text NOT NULL DEFAULT 'month' CHECK (paid_every IN ('month', 'year'));
ALTER TABLE subscriptions ADD COLUMN trial_end integer NOT NULL DEFAULT 0;
ALTER TABLE subscriptions ADD COLUMN grace_until integer NOT NULL DEFAULT 0;
ALTER TABLE subscriptions ADD COLUMN cancel_at integer NOT NULL DEFAULT 0;
ALTER TABLE subscriptions ADD COLUMN paid_until integer NOT NULL DEFAULT 0;
ALTER TABLE subscriptions ADD COLUMN stripe_id text NOT NULL DEFAULT '';
ALTER TABLE subscriptions ADD COLUMN stripe_customer text NOT NULL DEFAULT '';
ALTER TABLE subscriptions ADD COLUMN stripe_status text NOT NULL DEFAULT '';
ALTER TABLE subscriptions ADD COLUMN stripe_open boolean NOT NULL DEFAULT false;
ALTER TABLE subscriptions ADD COLUMN billed_plan_id blob REFERENCES plans (id);
ALTER TABLE subscriptions ADD COLUMN checked_at integer NOT NULL DEFAULT 0;
ALTER TABLE subscriptions ADD COLUMN revision integer NOT NULL DEFAULT 0;
UPDATE subscriptions SET
    plan_version = (SELECT p.version FROM plans p WHERE p.id = subscriptions.plan_id),
    price = (SELECT p.price FROM plans p WHERE p.id = subscriptions.plan_id),
    currency = (SELECT p.currency FROM plans p WHERE p.id = subscriptions.plan_id);
DROP INDEX subscriptions_due;
CREATE INDEX subscriptions_due ON subscriptions (period_end, agency_id) WHERE ended_at = 0;
CREATE INDEX subscriptions_grace ON subscriptions (grace_until) WHERE ended_at = 0 AND grace_until > 0;
CREATE INDEX subscriptions_unpaid ON subscriptions (checked_at) WHERE ended_at = 0 AND stripe_open;
CREATE INDEX subscriptions_over ON subscriptions (ended_at) WHERE stripe_open AND ended_at > 0;

-- An owner's attempt to take a plan; it is there before Stripe hears of it.
CREATE TABLE plan_orders (
    agency_id        blob NOT NULL REFERENCES agencies (id),
    id               blob NOT NULL,
    plan_id          blob NOT NULL REFERENCES plans (id),
    status           text NOT NULL CHECK (status IN ('open', 'done', 'expired')),
    status_note      text NOT NULL DEFAULT '',
    idempotency_key  text NOT NULL,
    fingerprint      blob NOT NULL,
    checkout_session text NOT NULL DEFAULT '',
    checkout_url     text NOT NULL DEFAULT '',
    live             boolean NOT NULL DEFAULT false,
    ordered_by       text NOT NULL,
    checked_at       integer NOT NULL DEFAULT 0,
    expires_at       integer NOT NULL,
    created_at       integer NOT NULL,
    PRIMARY KEY (agency_id, id),
    UNIQUE (agency_id, idempotency_key)
);
CREATE INDEX plan_orders_open ON plan_orders (checked_at) WHERE status = 'open';

-- Which agency an object of Stripe's belongs to: orders, sessions, subscriptions,
-- customers. Looked up without an agency.
CREATE TABLE plan_refs (
    ref       text PRIMARY KEY,
    agency_id blob NOT NULL
);

-- What a version of a plan is called at Stripe.
CREATE TABLE plan_prices (
    plan_id  blob NOT NULL REFERENCES plans (id),
    live     boolean NOT NULL,
    price_id text NOT NULL,
    PRIMARY KEY (plan_id, live)
);

-- Why a lot is or was frozen, between two entries of its wallet; it thaws when no
-- reason is left.
CREATE TABLE lot_freezes (
    agency_id blob NOT NULL,
    lot_id    blob NOT NULL,
    reason    text NOT NULL CHECK (length(reason) BETWEEN 1 AND 100),
    after_seq integer NOT NULL,
    until_seq integer NOT NULL DEFAULT -1,
    wallet_id blob NOT NULL,
    PRIMARY KEY (agency_id, lot_id, reason, after_seq)
) WITHOUT ROWID;
CREATE INDEX lot_freezes_wallet ON lot_freezes (agency_id, wallet_id);

-- +goose Down
DROP TABLE lot_freezes;
DROP TABLE plan_prices;
DROP TABLE plan_refs;
DROP TABLE plan_orders;
DROP INDEX subscriptions_over;
DROP INDEX subscriptions_unpaid;
DROP INDEX subscriptions_grace;
DROP INDEX subscriptions_due;
CREATE INDEX subscriptions_due ON subscriptions (period_end) WHERE ended_at = 0;
ALTER TABLE subscriptions DROP COLUMN revision;
ALTER TABLE subscriptions DROP COLUMN checked_at;
ALTER TABLE subscriptions DROP COLUMN billed_plan_id;
ALTER TABLE subscriptions DROP COLUMN stripe_open;
ALTER TABLE subscriptions DROP COLUMN stripe_status;
ALTER TABLE subscriptions DROP COLUMN stripe_customer;
ALTER TABLE subscriptions DROP COLUMN stripe_id;
ALTER TABLE subscriptions DROP COLUMN paid_until;
ALTER TABLE subscriptions DROP COLUMN cancel_at;
ALTER TABLE subscriptions DROP COLUMN grace_until;
ALTER TABLE subscriptions DROP COLUMN trial_end;
ALTER TABLE subscriptions DROP COLUMN paid_every;
ALTER TABLE subscriptions DROP COLUMN currency;
ALTER TABLE subscriptions DROP COLUMN price;
ALTER TABLE subscriptions DROP COLUMN plan_version;
ALTER TABLE plans DROP COLUMN paid_every;
