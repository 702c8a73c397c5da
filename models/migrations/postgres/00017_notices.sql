-- +goose Up
-- What people are told, written in the transaction that causes it and told after
-- the commit.
CREATE TABLE notices (
    agency_id  uuid NOT NULL REFERENCES agencies (id),
    id         uuid NOT NULL,
    wallet_id  uuid NOT NULL,
    event      text NOT NULL CHECK (length(event) BETWEEN 1 AND 40),
    occasion   text NOT NULL CHECK (length(occasion) BETWEEN 1 AND 200),
    facts      text NOT NULL CHECK (length(facts) <= 4000),
    due_at     bigint NOT NULL,
    told_at    bigint NOT NULL DEFAULT 0,
    created_at bigint NOT NULL,
    PRIMARY KEY (agency_id, id),
    UNIQUE (agency_id, wallet_id, event, occasion)
);
CREATE INDEX notices_due ON notices (due_at) WHERE told_at = 0;
CREATE INDEX notices_told ON notices (told_at) WHERE told_at > 0;
CREATE INDEX notices_wallet ON notices (agency_id, wallet_id, id);

-- A notice as one person got it; the mail's state is the outbox's.
CREATE TABLE notice_copies (
    agency_id uuid NOT NULL,
    user_id   uuid NOT NULL REFERENCES users (id),
    notice_id uuid NOT NULL,
    in_app    boolean NOT NULL,
    mail_id   bigint NOT NULL DEFAULT 0,
    address   text NOT NULL DEFAULT '',
    read_at   bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (agency_id, user_id, notice_id),
    FOREIGN KEY (agency_id, notice_id) REFERENCES notices (agency_id, id)
);
CREATE INDEX notice_copies_notice ON notice_copies (agency_id, notice_id);
CREATE INDEX notice_copies_unread ON notice_copies (agency_id, user_id, notice_id) WHERE in_app AND read_at = 0;

-- What a person wants other than their role's usual.
CREATE TABLE notice_choices (
    agency_id uuid NOT NULL,
    user_id   uuid NOT NULL REFERENCES users (id),
    event     text NOT NULL,
    channel   text NOT NULL CHECK (channel IN ('email', 'in_app')),
    wanted    boolean NOT NULL,
    PRIMARY KEY (agency_id, user_id, event, channel)
);

-- A wallet's thresholds, and which of them its people have heard of.
CREATE TABLE alarms (
    agency_id uuid NOT NULL,
    wallet_id uuid NOT NULL,
    lines     text NOT NULL DEFAULT '' CHECK (length(lines) <= 2000),
    crossed   text NOT NULL DEFAULT '' CHECK (length(crossed) <= 2000),
    state     text NOT NULL DEFAULT '',
    told      bigint NOT NULL DEFAULT 0,
    look_at   bigint NOT NULL DEFAULT 0,
    looked_at bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (agency_id, wallet_id),
    FOREIGN KEY (agency_id, wallet_id) REFERENCES wallets (agency_id, id)
);
CREATE INDEX alarms_look ON alarms (look_at) WHERE look_at > 0;

ALTER TABLE mails ADD COLUMN unsubscribe text NOT NULL DEFAULT '';

-- +goose Down
ALTER TABLE mails DROP COLUMN unsubscribe;
DROP TABLE alarms;
DROP TABLE notice_choices;
DROP TABLE notice_copies;
DROP TABLE notices;
