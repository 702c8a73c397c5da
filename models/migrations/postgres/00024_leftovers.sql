-- +goose Up
-- Bonus credits that come with a pack, documents of what was given back, what a
-- plan's refunded payment took, and quotes of the calculator.

ALTER TABLE packs ADD COLUMN bonus bigint NOT NULL DEFAULT 0 CHECK (bonus >= 0);
ALTER TABLE purchases ADD COLUMN bonus bigint NOT NULL DEFAULT 0 CHECK (bonus >= 0);
ALTER TABLE purchases ADD COLUMN bonus_lot_id uuid;
ALTER TABLE purchases ADD COLUMN bonus_revoked bigint NOT NULL DEFAULT 0 CHECK (bonus_revoked >= 0);
ALTER TABLE purchases ADD COLUMN bonus_spent bigint NOT NULL DEFAULT 0 CHECK (bonus_spent >= 0);
ALTER TABLE purchases ADD COLUMN bonus_frozen bigint NOT NULL DEFAULT 0 CHECK (bonus_frozen >= 0);

-- What a payment of a plan was for, and where Stripe shows its invoice.
ALTER TABLE plan_payments ADD COLUMN period_start bigint NOT NULL DEFAULT 0;
ALTER TABLE plan_payments ADD COLUMN period_end bigint NOT NULL DEFAULT 0;
ALTER TABLE plan_payments ADD COLUMN hosted_url text NOT NULL DEFAULT '';
CREATE INDEX plan_payments_gone ON plan_payments (period_end) WHERE refunded + dispute_held + dispute_lost > 0;

-- What the standing of a plan's payments took of an allowance: never what was
-- used of it.
CREATE TABLE plan_claims (
    agency_id  uuid NOT NULL REFERENCES agencies (id),
    lot_id     uuid NOT NULL,
    credits    bigint NOT NULL CHECK (credits > 0),
    revoked    bigint NOT NULL CHECK (revoked >= 0),
    frozen     bigint NOT NULL CHECK (frozen >= 0 AND revoked + frozen <= credits),
    claimed_at bigint NOT NULL,
    PRIMARY KEY (agency_id, lot_id)
);

-- A refund's document. A refund that failed later leaves it void: a seller's
-- numbers have no gap.
CREATE TABLE credit_notes (
    agency_id   uuid NOT NULL,
    purchase_id uuid NOT NULL,
    refund      text NOT NULL,
    account     text NOT NULL,
    number      bigint NOT NULL CHECK (number > 0),
    amount      bigint NOT NULL CHECK (amount > 0),
    tax         bigint NOT NULL CHECK (tax >= 0 AND tax <= amount),
    currency    text NOT NULL,
    refunded_at bigint NOT NULL,
    voided_at   bigint NOT NULL DEFAULT 0,
    created_at  bigint NOT NULL,
    PRIMARY KEY (agency_id, purchase_id, refund),
    UNIQUE (agency_id, account, number),
    FOREIGN KEY (agency_id, purchase_id) REFERENCES purchases (agency_id, id)
);

-- What the calculator said, kept for somebody until it expires.
CREATE TABLE quotes (
    agency_id  uuid NOT NULL REFERENCES agencies (id),
    id         uuid NOT NULL,
    token      text NOT NULL CHECK (length(token) BETWEEN 16 AND 64),
    name       text NOT NULL CHECK (length(name) BETWEEN 1 AND 120),
    query      text NOT NULL CHECK (length(query) <= 2000),
    sheet      text NOT NULL,
    expires_at bigint NOT NULL,
    created_by text NOT NULL,
    created_at bigint NOT NULL,
    ended_at   bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (agency_id, id),
    UNIQUE (agency_id, token)
);

-- +goose Down
DROP TABLE quotes;
DROP TABLE credit_notes;
DROP TABLE plan_claims;
DROP INDEX plan_payments_gone;
ALTER TABLE plan_payments DROP COLUMN hosted_url;
ALTER TABLE plan_payments DROP COLUMN period_end;
ALTER TABLE plan_payments DROP COLUMN period_start;
ALTER TABLE purchases DROP COLUMN bonus_frozen;
ALTER TABLE purchases DROP COLUMN bonus_spent;
ALTER TABLE purchases DROP COLUMN bonus_revoked;
ALTER TABLE purchases DROP COLUMN bonus_lot_id;
ALTER TABLE purchases DROP COLUMN bonus;
ALTER TABLE packs DROP COLUMN bonus;
