-- +goose Up
-- Referrals, gift codes, and the payments of plans that both of them and the
-- day's totals look at.

-- An agency's code: found without knowing whose it is.
CREATE TABLE referral_codes (
    code       text NOT NULL PRIMARY KEY,
    agency_id  blob NOT NULL UNIQUE REFERENCES agencies (id),
    created_at integer NOT NULL
);

-- Who an agency was referred by. It is referred once, when it is made.
CREATE TABLE referred_agencies (
    agency_id   blob NOT NULL PRIMARY KEY REFERENCES agencies (id),
    referrer_id blob NOT NULL REFERENCES agencies (id),
    joined_at   integer NOT NULL,
    CHECK (agency_id <> referrer_id)
);

-- The same from the referrer's side, with what came of it. payment is the first
-- that cleared; revoked and frozen follow how it stands.
CREATE TABLE referrals (
    agency_id     blob NOT NULL REFERENCES agencies (id),
    referred_id   blob NOT NULL REFERENCES agencies (id),
    credits       integer NOT NULL CHECK (credits > 0),
    state         text NOT NULL CHECK (state IN ('waiting', 'earned', 'capped', 'refused')),
    note          text NOT NULL DEFAULT '',
    payment       text NOT NULL DEFAULT '',
    lot_id        blob,
    act_id        blob,
    revoked       integer NOT NULL DEFAULT 0 CHECK (revoked >= 0 AND revoked <= credits),
    revoked_spent integer NOT NULL DEFAULT 0 CHECK (revoked_spent >= 0 AND revoked_spent <= revoked),
    frozen        integer NOT NULL DEFAULT 0 CHECK (frozen >= 0 AND revoked + frozen <= credits),
    joined_at     integer NOT NULL,
    decided_at    integer NOT NULL DEFAULT 0,
    stirred_at    integer NOT NULL DEFAULT 0,
    PRIMARY KEY (agency_id, referred_id),
    CHECK (agency_id <> referred_id),
    CHECK ((state = 'earned') = (lot_id IS NOT NULL) AND (state = 'earned') = (act_id IS NOT NULL)),
    CHECK ((state = 'waiting') = (decided_at = 0)),
    CHECK (state = 'earned' OR revoked = 0 AND frozen = 0)
);
CREATE INDEX referrals_earned ON referrals (agency_id, decided_at) WHERE state = 'earned';
CREATE INDEX referrals_stirred ON referrals (stirred_at) WHERE stirred_at > 0;

-- Who pays for an agency, as far as payments tell: two agencies with one payer do
-- not refer each other.
CREATE TABLE payer_marks (
    agency_id blob NOT NULL REFERENCES agencies (id),
    mark      text NOT NULL,
    seen_at   integer NOT NULL,
    PRIMARY KEY (agency_id, mark)
);

-- Gifts: credits for whoever has a code.
CREATE TABLE gifts (
    id              blob NOT NULL PRIMARY KEY,
    name            text NOT NULL CHECK (length(name) BETWEEN 1 AND 120),
    credits         integer NOT NULL CHECK (credits > 0),
    lot_days        integer NOT NULL CHECK (lot_days >= 0),
    for_agency_id   blob REFERENCES agencies (id),
    single_use      boolean NOT NULL,
    codes           integer NOT NULL CHECK (codes > 0),
    max_redemptions integer NOT NULL CHECK (max_redemptions >= 0),
    max_credits     integer NOT NULL CHECK (max_credits >= 0),
    expires_at      integer NOT NULL,
    redeemed        integer NOT NULL DEFAULT 0,
    given           integer NOT NULL DEFAULT 0,
    reason          text NOT NULL CHECK (length(reason) BETWEEN 1 AND 500),
    created_by      text NOT NULL,
    created_at      integer NOT NULL,
    stopped_at      integer NOT NULL DEFAULT 0,
    idempotency_key text NOT NULL UNIQUE,
    fingerprint     blob NOT NULL,
    CHECK (redeemed >= 0 AND (max_redemptions = 0 OR redeemed <= max_redemptions)),
    CHECK (given = redeemed * credits AND (max_credits = 0 OR given <= max_credits))
);

-- What is typed, without dashes and in capitals.
CREATE TABLE gift_codes (
    code       text NOT NULL PRIMARY KEY CHECK (length(code) BETWEEN 4 AND 40),
    gift_id    blob NOT NULL REFERENCES gifts (id),
    shown      text NOT NULL,
    single_use boolean NOT NULL,
    used       integer NOT NULL DEFAULT 0,
    CHECK (used >= 0 AND (used <= 1 OR NOT single_use))
);
CREATE INDEX gift_codes_gift ON gift_codes (gift_id, code);

-- An agency redeems a gift once.
CREATE TABLE gift_redemptions (
    agency_id       blob NOT NULL REFERENCES agencies (id),
    gift_id         blob NOT NULL REFERENCES gifts (id),
    code            text NOT NULL,
    credits         integer NOT NULL CHECK (credits > 0),
    expires_at      integer NOT NULL,
    act_id          blob NOT NULL,
    redeemed_by     text NOT NULL,
    idempotency_key text NOT NULL,
    redeemed_at     integer NOT NULL,
    PRIMARY KEY (agency_id, gift_id)
);
CREATE INDEX gift_redemptions_gift ON gift_redemptions (gift_id, redeemed_at);

-- Invoices of plans that were paid, in minor units, as Stripe was last seen to say.
CREATE TABLE plan_payments (
    agency_id      blob NOT NULL REFERENCES agencies (id),
    invoice        text NOT NULL,
    subscription   text NOT NULL,
    payment_intent text NOT NULL,
    amount         integer NOT NULL CHECK (amount > 0),
    currency       text NOT NULL,
    live           boolean NOT NULL,
    paid_at        integer NOT NULL,
    refunded       integer NOT NULL DEFAULT 0 CHECK (refunded >= 0),
    dispute        text NOT NULL DEFAULT '' CHECK (dispute IN ('', 'inquiry', 'open', 'won', 'lost')),
    dispute_held   integer NOT NULL DEFAULT 0 CHECK (dispute_held >= 0),
    dispute_lost   integer NOT NULL DEFAULT 0 CHECK (dispute_lost >= 0),
    checked_at     integer NOT NULL DEFAULT 0,
    PRIMARY KEY (agency_id, invoice)
);
CREATE INDEX plan_payments_paid ON plan_payments (paid_at);
CREATE INDEX plan_payments_intent ON plan_payments (agency_id, payment_intent);

-- Credits given by hand may expire; 0 is never.
ALTER TABLE adjustment_requests ADD COLUMN expires_at integer NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE adjustment_requests DROP COLUMN expires_at;
DROP TABLE plan_payments;
DROP TABLE gift_redemptions;
DROP TABLE gift_codes;
DROP TABLE gifts;
DROP TABLE payer_marks;
DROP TABLE referrals;
DROP TABLE referred_agencies;
DROP TABLE referral_codes;
