-- +goose Up
-- Agencies sell packages to their clients: what is on offer, whose Stripe
-- account takes the money, and what a sale moved.

CREATE TABLE stripe_accounts (
    agency_id         blob PRIMARY KEY REFERENCES agencies (id),
    account           text NOT NULL UNIQUE,
    name              text NOT NULL DEFAULT '',
    statement         text NOT NULL DEFAULT '',
    charges_enabled   boolean NOT NULL DEFAULT false,
    payouts_enabled   boolean NOT NULL DEFAULT false,
    details_submitted boolean NOT NULL DEFAULT false,
    disconnected_at   integer NOT NULL DEFAULT 0,
    checked_at        integer NOT NULL DEFAULT 0,
    created_at        integer NOT NULL
);

CREATE TABLE packages (
    agency_id       blob NOT NULL REFERENCES agencies (id),
    id              blob NOT NULL,
    name            text NOT NULL CHECK (length(name) BETWEEN 1 AND 120),
    credits         integer NOT NULL CHECK (credits > 0),
    price           integer NOT NULL CHECK (price >= 0),
    currency        text NOT NULL CHECK (length(currency) = 3),
    badge           text NOT NULL DEFAULT '' CHECK (length(badge) <= 40),
    note            text NOT NULL DEFAULT '' CHECK (length(note) <= 500),
    audience        text NOT NULL CHECK (audience IN ('all', 'chosen')),
    monthly_limit   integer NOT NULL DEFAULT 0 CHECK (monthly_limit >= 0),
    position        integer NOT NULL DEFAULT 0,
    on_sale         boolean NOT NULL DEFAULT false,
    loss_accepted   boolean NOT NULL DEFAULT false,
    cost_basis      text NOT NULL,
    own_cost        integer NOT NULL DEFAULT 0 CHECK (own_cost >= 0),
    created_at      integer NOT NULL,
    archived_at     integer NOT NULL DEFAULT 0,
    idempotency_key text,
    fingerprint     blob,
    PRIMARY KEY (agency_id, id)
);
CREATE UNIQUE INDEX packages_key ON packages (agency_id, idempotency_key) WHERE idempotency_key IS NOT NULL;

-- What a package cost from when on; the newest is the price now.
CREATE TABLE package_prices (
    agency_id  blob NOT NULL,
    package_id blob NOT NULL,
    number     integer NOT NULL CHECK (number > 0),
    credits    integer NOT NULL CHECK (credits > 0),
    price      integer NOT NULL CHECK (price >= 0),
    set_by     text NOT NULL,
    created_at integer NOT NULL,
    PRIMARY KEY (agency_id, package_id, number),
    FOREIGN KEY (agency_id, package_id) REFERENCES packages (agency_id, id)
);

-- Who may buy a package whose audience is chosen.
CREATE TABLE package_viewers (
    agency_id      blob NOT NULL,
    package_id     blob NOT NULL,
    sub_account_id blob NOT NULL,
    PRIMARY KEY (agency_id, package_id, sub_account_id),
    FOREIGN KEY (agency_id, package_id) REFERENCES packages (agency_id, id),
    FOREIGN KEY (agency_id, sub_account_id) REFERENCES sub_accounts (agency_id, id)
);

-- A purchase is of a pack or of a package. The cost of a sale is that of the
-- very lots it moved, its fee what Stripe kept. SQLite changes a column's rules
-- by making the table anew; nothing points at this one.
CREATE TABLE purchases_new (
    agency_id        blob NOT NULL REFERENCES agencies (id),
    id               blob NOT NULL,
    wallet_id        blob NOT NULL,
    pack_id          blob REFERENCES packs (id),
    package_id       blob,
    title            text NOT NULL,
    credits          integer NOT NULL CHECK (credits > 0),
    price            integer NOT NULL CHECK (price >= 0),
    currency         text NOT NULL,
    cost             integer NOT NULL DEFAULT 0 CHECK (cost >= 0),
    fee              integer NOT NULL DEFAULT 0 CHECK (fee >= 0),
    status           text NOT NULL CHECK (status IN ('open', 'processing', 'credited', 'failed', 'expired', 'cancelled', 'review', 'refunded', 'disputed')),
    status_note      text NOT NULL DEFAULT '',
    idempotency_key  text NOT NULL,
    fingerprint      blob NOT NULL,
    bought_by        text NOT NULL DEFAULT '',
    account          text NOT NULL DEFAULT '',
    live             boolean NOT NULL DEFAULT false,
    checkout_session text NOT NULL DEFAULT '',
    checkout_url     text NOT NULL DEFAULT '',
    payment_intent   text NOT NULL DEFAULT '',
    receipt_url      text NOT NULL DEFAULT '',
    receipt_number   integer NOT NULL DEFAULT 0,
    act_id           blob,
    balance_before   integer NOT NULL DEFAULT 0,
    balance_after    integer NOT NULL DEFAULT 0,
    expires_at       integer NOT NULL,
    checked_at       integer NOT NULL DEFAULT 0,
    paid_at          integer NOT NULL DEFAULT 0,
    credited_at      integer NOT NULL DEFAULT 0,
    created_at       integer NOT NULL,
    PRIMARY KEY (agency_id, id),
    UNIQUE (agency_id, idempotency_key),
    FOREIGN KEY (agency_id, package_id) REFERENCES packages (agency_id, id),
    CHECK ((pack_id IS NULL) <> (package_id IS NULL))
);
INSERT INTO purchases_new (
    agency_id, id, wallet_id, pack_id, title, credits, price, currency, status, status_note, idempotency_key,
    fingerprint, bought_by, account, live, checkout_session, checkout_url, payment_intent, receipt_url,
    receipt_number, act_id, balance_before, balance_after, expires_at, checked_at, paid_at, credited_at,
    created_at
) SELECT
    agency_id, id, wallet_id, pack_id, pack_name, credits, price, currency, status, status_note, idempotency_key,
    fingerprint, bought_by, account, live, checkout_session, checkout_url, payment_intent, receipt_url,
    receipt_number, act_id, balance_before, balance_after, expires_at, checked_at, paid_at, credited_at,
    created_at
FROM purchases;
DROP TABLE purchases;
ALTER TABLE purchases_new RENAME TO purchases;
CREATE INDEX purchases_wallet ON purchases (agency_id, wallet_id, id);
CREATE INDEX purchases_pending ON purchases (checked_at) WHERE status IN ('open', 'processing');
CREATE INDEX purchases_sales ON purchases (agency_id, credited_at) WHERE package_id IS NOT NULL AND credited_at > 0;
CREATE UNIQUE INDEX purchases_receipts ON purchases (agency_id, account, receipt_number) WHERE receipt_number > 0;

-- A hold for a checkout reserves an agency's stock; programs cannot touch it.
ALTER TABLE holds ADD COLUMN purchase_id blob;
CREATE UNIQUE INDEX holds_stock ON holds (agency_id, purchase_id) WHERE purchase_id IS NOT NULL;

-- +goose Down
DROP INDEX holds_stock;
ALTER TABLE holds DROP COLUMN purchase_id;
CREATE TABLE purchases_old (
    agency_id        blob NOT NULL REFERENCES agencies (id),
    id               blob NOT NULL,
    wallet_id        blob NOT NULL,
    pack_id          blob NOT NULL REFERENCES packs (id),
    pack_name        text NOT NULL,
    credits          integer NOT NULL CHECK (credits > 0),
    price            integer NOT NULL CHECK (price >= 0),
    currency         text NOT NULL,
    status           text NOT NULL CHECK (status IN ('open', 'processing', 'credited', 'failed', 'expired', 'cancelled', 'review', 'refunded', 'disputed')),
    status_note      text NOT NULL DEFAULT '',
    idempotency_key  text NOT NULL,
    fingerprint      blob NOT NULL,
    bought_by        text NOT NULL DEFAULT '',
    account          text NOT NULL DEFAULT '',
    live             boolean NOT NULL DEFAULT false,
    checkout_session text NOT NULL DEFAULT '',
    checkout_url     text NOT NULL DEFAULT '',
    payment_intent   text NOT NULL DEFAULT '',
    receipt_url      text NOT NULL DEFAULT '',
    receipt_number   integer NOT NULL DEFAULT 0,
    act_id           blob,
    balance_before   integer NOT NULL DEFAULT 0,
    balance_after    integer NOT NULL DEFAULT 0,
    expires_at       integer NOT NULL,
    checked_at       integer NOT NULL DEFAULT 0,
    paid_at          integer NOT NULL DEFAULT 0,
    credited_at      integer NOT NULL DEFAULT 0,
    created_at       integer NOT NULL,
    PRIMARY KEY (agency_id, id),
    UNIQUE (agency_id, idempotency_key)
);
INSERT INTO purchases_old (
    agency_id, id, wallet_id, pack_id, pack_name, credits, price, currency, status, status_note, idempotency_key,
    fingerprint, bought_by, account, live, checkout_session, checkout_url, payment_intent, receipt_url,
    receipt_number, act_id, balance_before, balance_after, expires_at, checked_at, paid_at, credited_at,
    created_at
) SELECT
    agency_id, id, wallet_id, pack_id, title, credits, price, currency, status, status_note, idempotency_key,
    fingerprint, bought_by, account, live, checkout_session, checkout_url, payment_intent, receipt_url,
    receipt_number, act_id, balance_before, balance_after, expires_at, checked_at, paid_at, credited_at,
    created_at
FROM purchases WHERE pack_id IS NOT NULL;
DROP TABLE purchases;
ALTER TABLE purchases_old RENAME TO purchases;
CREATE INDEX purchases_wallet ON purchases (agency_id, wallet_id, id);
CREATE INDEX purchases_pending ON purchases (checked_at) WHERE status IN ('open', 'processing');
DROP TABLE package_viewers;
DROP TABLE package_prices;
DROP TABLE packages;
DROP TABLE stripe_accounts;
