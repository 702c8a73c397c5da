-- +goose Up
-- Wallets that buy credits by themselves. The attempt is a purchase like any other,
-- written before Stripe hears of it; a wallet has one in flight at most.
ALTER TABLE agencies ADD COLUMN client_top_up boolean NOT NULL DEFAULT FALSE;
ALTER TABLE purchases ADD COLUMN origin text NOT NULL DEFAULT '' CHECK (origin IN ('', 'automatic', 'recovery'));
ALTER TABLE purchases ADD COLUMN customer text NOT NULL DEFAULT '';
ALTER TABLE purchases ADD COLUMN payment_method text NOT NULL DEFAULT '';
ALTER TABLE purchases ADD COLUMN card text NOT NULL DEFAULT '';
ALTER TABLE purchases ADD COLUMN failure_code text NOT NULL DEFAULT '';
CREATE UNIQUE INDEX purchases_in_flight ON purchases (agency_id, wallet_id) WHERE origin = 'automatic' AND status IN ('open', 'processing');
CREATE INDEX purchases_automatic ON purchases (agency_id, wallet_id, created_at) WHERE origin = 'automatic';
CREATE TABLE top_ups (
    agency_id        uuid NOT NULL,
    wallet_id        uuid NOT NULL,
    state            text NOT NULL CHECK (state IN ('off', 'on', 'paused')),
    reason           text NOT NULL DEFAULT '',
    note             text NOT NULL DEFAULT '',
    threshold        bigint NOT NULL DEFAULT 0 CHECK (threshold >= 0),
    pack_id          uuid,
    package_id       uuid,
    quantity         bigint NOT NULL DEFAULT 0 CHECK (quantity >= 0),
    price            bigint NOT NULL DEFAULT 0 CHECK (price >= 0),
    currency         text NOT NULL DEFAULT '',
    monthly_limit    bigint NOT NULL DEFAULT 0 CHECK (monthly_limit >= 0),
    for_sales        boolean NOT NULL DEFAULT FALSE,
    agreed_by        text NOT NULL DEFAULT '',
    agreed_at        bigint NOT NULL DEFAULT 0,
    account          text NOT NULL DEFAULT '',
    customer         text NOT NULL DEFAULT '',
    payment_method   text NOT NULL DEFAULT '',
    card_brand       text NOT NULL DEFAULT '',
    card_last4       text NOT NULL DEFAULT '',
    card_month       bigint NOT NULL DEFAULT 0,
    card_year        bigint NOT NULL DEFAULT 0,
    card_fingerprint text NOT NULL DEFAULT '',
    card_session     text NOT NULL DEFAULT '',
    declines         bigint NOT NULL DEFAULT 0 CHECK (declines >= 0),
    attempted_at     bigint NOT NULL DEFAULT 0,
    due_at           bigint NOT NULL DEFAULT 0,
    paused_at        bigint NOT NULL DEFAULT 0,
    created_at       bigint NOT NULL,
    PRIMARY KEY (agency_id, wallet_id),
    FOREIGN KEY (agency_id, wallet_id) REFERENCES wallets (agency_id, id),
    CHECK (state = 'off' OR payment_method <> '' AND agreed_at > 0 AND price > 0 AND monthly_limit > 0
        AND (pack_id IS NULL) <> (package_id IS NULL)),
    CHECK ((state = 'paused') = (reason <> ''))
);
CREATE INDEX top_ups_due ON top_ups (due_at) WHERE due_at > 0;

-- +goose Down
DROP TABLE top_ups;
DROP INDEX purchases_automatic;
DROP INDEX purchases_in_flight;
ALTER TABLE purchases DROP COLUMN failure_code;
ALTER TABLE purchases DROP COLUMN card;
ALTER TABLE purchases DROP COLUMN payment_method;
ALTER TABLE purchases DROP COLUMN customer;
ALTER TABLE purchases DROP COLUMN origin;
ALTER TABLE agencies DROP COLUMN client_top_up;
