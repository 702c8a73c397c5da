-- +goose Up
-- What agencies may sell beyond their stock, what they sell every month, and the
-- platform's share of it.
ALTER TABLE agencies ADD COLUMN oversell text NOT NULL DEFAULT 'refuse' CHECK (oversell IN ('refuse', 'warn', 'allow'));
ALTER TABLE agencies ADD COLUMN oversell_limit integer NOT NULL DEFAULT 0 CHECK (oversell_limit >= 0);
ALTER TABLE packages ADD COLUMN every text NOT NULL DEFAULT 'once' CHECK (every IN ('once', 'month'));

-- A client that gets a package every month, paid through its agency's Stripe
-- account. Each month that is paid is a purchase of its own.
CREATE TABLE package_subscriptions (
    agency_id        blob NOT NULL,
    id               blob NOT NULL,
    wallet_id        blob NOT NULL,
    package_id       blob NOT NULL,
    title            text NOT NULL,
    credits          integer NOT NULL CHECK (credits > 0),
    price            integer NOT NULL CHECK (price > 0),
    currency         text NOT NULL CHECK (length(currency) = 3),
    account          text NOT NULL CHECK (account <> ''),
    live             boolean NOT NULL DEFAULT false,
    fee_share        integer NOT NULL DEFAULT 0 CHECK (fee_share BETWEEN 0 AND 10000),
    status           text NOT NULL CHECK (status IN ('open', 'active', 'past_due', 'ended', 'expired')),
    status_note      text NOT NULL DEFAULT '',
    purchase_id      blob NOT NULL,
    stripe_id        text NOT NULL DEFAULT '',
    customer         text NOT NULL DEFAULT '',
    period_start     integer NOT NULL DEFAULT 0,
    period_end       integer NOT NULL DEFAULT 0,
    cancel_at        integer NOT NULL DEFAULT 0,
    ended_at         integer NOT NULL DEFAULT 0,
    checked_at       integer NOT NULL DEFAULT 0,
    created_at       integer NOT NULL,
    PRIMARY KEY (agency_id, id),
    FOREIGN KEY (agency_id, package_id) REFERENCES packages (agency_id, id),
    FOREIGN KEY (agency_id, wallet_id) REFERENCES wallets (agency_id, id)
);
CREATE INDEX package_subscriptions_wallet ON package_subscriptions (agency_id, wallet_id, id);
CREATE INDEX package_subscriptions_due ON package_subscriptions (checked_at) WHERE status IN ('open', 'active', 'past_due');
CREATE UNIQUE INDEX package_subscriptions_running ON package_subscriptions (agency_id, wallet_id, package_id) WHERE status IN ('active', 'past_due');

ALTER TABLE purchases ADD COLUMN subscription_id blob;
ALTER TABLE purchases ADD COLUMN invoice text NOT NULL DEFAULT '';
ALTER TABLE purchases ADD COLUMN term_end integer NOT NULL DEFAULT 0;
ALTER TABLE purchases ADD COLUMN waits boolean NOT NULL DEFAULT false;
ALTER TABLE purchases ADD COLUMN fee_share integer NOT NULL DEFAULT 0 CHECK (fee_share BETWEEN 0 AND 10000);
ALTER TABLE purchases ADD COLUMN platform_fee integer NOT NULL DEFAULT 0 CHECK (platform_fee >= 0);
CREATE UNIQUE INDEX purchases_invoice ON purchases (agency_id, account, invoice) WHERE invoice <> '';
CREATE INDEX purchases_waiting ON purchases (agency_id, id) WHERE waits AND status IN ('open', 'processing');

-- +goose Down
DROP INDEX purchases_waiting;
DROP INDEX purchases_invoice;
ALTER TABLE purchases DROP COLUMN platform_fee;
ALTER TABLE purchases DROP COLUMN fee_share;
ALTER TABLE purchases DROP COLUMN waits;
ALTER TABLE purchases DROP COLUMN term_end;
ALTER TABLE purchases DROP COLUMN invoice;
ALTER TABLE purchases DROP COLUMN subscription_id;
DROP TABLE package_subscriptions;
ALTER TABLE packages DROP COLUMN every;
ALTER TABLE agencies DROP COLUMN oversell_limit;
ALTER TABLE agencies DROP COLUMN oversell;
