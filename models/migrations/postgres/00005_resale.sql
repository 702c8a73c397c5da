-- +goose Up
-- Agencies sell packages to their clients: what is on offer, whose Stripe
-- account takes the money, and what a sale moved.

CREATE TABLE stripe_accounts (
    agency_id         uuid PRIMARY KEY REFERENCES agencies (id),
    account           text NOT NULL UNIQUE,
    name              text NOT NULL DEFAULT '',
    statement         text NOT NULL DEFAULT '',
    charges_enabled   boolean NOT NULL DEFAULT false,
    payouts_enabled   boolean NOT NULL DEFAULT false,
    details_submitted boolean NOT NULL DEFAULT false,
    disconnected_at   bigint NOT NULL DEFAULT 0,
    checked_at        bigint NOT NULL DEFAULT 0,
    created_at        bigint NOT NULL
);

CREATE TABLE packages (
    agency_id       uuid NOT NULL REFERENCES agencies (id),
    id              uuid NOT NULL,
    name            text NOT NULL CHECK (length(name) BETWEEN 1 AND 120),
    credits         bigint NOT NULL CHECK (credits > 0),
    price           bigint NOT NULL CHECK (price >= 0),
    currency        text NOT NULL CHECK (length(currency) = 3),
    badge           text NOT NULL DEFAULT '' CHECK (length(badge) <= 40),
    note            text NOT NULL DEFAULT '' CHECK (length(note) <= 500),
    audience        text NOT NULL CHECK (audience IN ('all', 'chosen')),
    monthly_limit   integer NOT NULL DEFAULT 0 CHECK (monthly_limit >= 0),
    position        integer NOT NULL DEFAULT 0,
    on_sale         boolean NOT NULL DEFAULT false,
    loss_accepted   boolean NOT NULL DEFAULT false,
    cost_basis      text NOT NULL,
    own_cost        bigint NOT NULL DEFAULT 0 CHECK (own_cost >= 0),
    created_at      bigint NOT NULL,
    archived_at     bigint NOT NULL DEFAULT 0,
    idempotency_key text,
    fingerprint     bytea,
    PRIMARY KEY (agency_id, id)
);
CREATE UNIQUE INDEX packages_key ON packages (agency_id, idempotency_key) WHERE idempotency_key IS NOT NULL;

-- What a package cost from when on; the newest is the price now.
CREATE TABLE package_prices (
    agency_id  uuid NOT NULL,
    package_id uuid NOT NULL,
    number     integer NOT NULL CHECK (number > 0),
    credits    bigint NOT NULL CHECK (credits > 0),
    price      bigint NOT NULL CHECK (price >= 0),
    set_by     text NOT NULL,
    created_at bigint NOT NULL,
    PRIMARY KEY (agency_id, package_id, number),
    FOREIGN KEY (agency_id, package_id) REFERENCES packages (agency_id, id)
);

-- Who may buy a package whose audience is chosen.
CREATE TABLE package_viewers (
    agency_id      uuid NOT NULL,
    package_id     uuid NOT NULL,
    sub_account_id uuid NOT NULL,
    PRIMARY KEY (agency_id, package_id, sub_account_id),
    FOREIGN KEY (agency_id, package_id) REFERENCES packages (agency_id, id),
    FOREIGN KEY (agency_id, sub_account_id) REFERENCES sub_accounts (agency_id, id)
);

-- A purchase is of a pack or of a package. The cost of a sale is that of the
-- very lots it moved, its fee what Stripe kept.
ALTER TABLE purchases RENAME COLUMN pack_name TO title;
ALTER TABLE purchases ALTER COLUMN pack_id DROP NOT NULL;
ALTER TABLE purchases ADD COLUMN package_id uuid;
ALTER TABLE purchases ADD COLUMN cost bigint NOT NULL DEFAULT 0 CHECK (cost >= 0);
ALTER TABLE purchases ADD COLUMN fee bigint NOT NULL DEFAULT 0 CHECK (fee >= 0);
ALTER TABLE purchases ADD CONSTRAINT purchases_offer CHECK ((pack_id IS NULL) <> (package_id IS NULL));
ALTER TABLE purchases ADD FOREIGN KEY (agency_id, package_id) REFERENCES packages (agency_id, id);
CREATE INDEX purchases_sales ON purchases (agency_id, credited_at) WHERE package_id IS NOT NULL AND credited_at > 0;
CREATE UNIQUE INDEX purchases_receipts ON purchases (agency_id, account, receipt_number) WHERE receipt_number > 0;

-- A hold for a checkout reserves an agency's stock; programs cannot touch it.
ALTER TABLE holds ADD COLUMN purchase_id uuid;
CREATE UNIQUE INDEX holds_stock ON holds (agency_id, purchase_id) WHERE purchase_id IS NOT NULL;

-- +goose Down
DROP INDEX holds_stock;
ALTER TABLE holds DROP COLUMN purchase_id;
DROP INDEX purchases_receipts, purchases_sales;
DELETE FROM purchases WHERE pack_id IS NULL;
ALTER TABLE purchases DROP COLUMN package_id, DROP COLUMN cost, DROP COLUMN fee;
ALTER TABLE purchases ALTER COLUMN pack_id SET NOT NULL;
ALTER TABLE purchases RENAME COLUMN title TO pack_name;
DROP TABLE package_viewers, package_prices, packages, stripe_accounts;
