-- +goose Up
-- People are invited and written to; sub-accounts can be archived.

-- The outbox: a mail is written in the transaction that causes it and sent after
-- the commit. Not a tenant's table: a sign-in mail belongs to a door.
CREATE TABLE mails (
    id         bigserial PRIMARY KEY,
    agency_id  uuid,
    kind       text NOT NULL,
    recipient  text NOT NULL CHECK (length(recipient) BETWEEN 3 AND 254),
    from_name  text NOT NULL DEFAULT '',
    reply_to   text NOT NULL DEFAULT '',
    subject    text NOT NULL DEFAULT '',
    text       text NOT NULL DEFAULT '',
    html       text NOT NULL DEFAULT '' CHECK (length(html) <= 40960),
    state      text NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'sent', 'dead', 'dropped')),
    attempts   integer NOT NULL DEFAULT 0,
    next_at    bigint NOT NULL,
    expires_at bigint NOT NULL,
    note       text NOT NULL DEFAULT '',
    created_at bigint NOT NULL,
    ended_at   bigint NOT NULL DEFAULT 0
);
CREATE INDEX mails_due ON mails (next_at) WHERE state = 'queued';
CREATE INDEX mails_order ON mails (recipient, id) WHERE state = 'queued';
CREATE INDEX mails_agency ON mails (agency_id, id);
CREATE INDEX mails_ended ON mails (ended_at) WHERE state <> 'queued';

-- Found by a token that names no agency, like a sign-in link.
CREATE TABLE invitations (
    token_hash     bytea PRIMARY KEY,
    agency_id      uuid NOT NULL REFERENCES agencies (id),
    id             uuid NOT NULL,
    sub_account_id uuid,
    email          text NOT NULL CHECK (length(email) BETWEEN 3 AND 254),
    role           text NOT NULL CHECK (role IN ('owner', 'billing', 'member', 'client')),
    invited_by     text NOT NULL,
    created_at     bigint NOT NULL,
    sent_at        bigint NOT NULL,
    expires_at     bigint NOT NULL,
    accepted_at    bigint NOT NULL DEFAULT 0,
    revoked_at     bigint NOT NULL DEFAULT 0,
    UNIQUE (agency_id, id),
    CHECK ((role = 'client') = (sub_account_id IS NOT NULL)),
    FOREIGN KEY (agency_id, sub_account_id) REFERENCES sub_accounts (agency_id, id)
);
-- One open invitation per address and place.
CREATE UNIQUE INDEX invitations_open ON invitations (agency_id, email, COALESCE(sub_account_id, agency_id))
    WHERE accepted_at = 0 AND revoked_at = 0;

-- A mailed link replaces the one before it, and may accept an invitation (of the
-- agency named).
ALTER TABLE sign_in_links ADD COLUMN mailed boolean NOT NULL DEFAULT false;
ALTER TABLE sign_in_links ADD COLUMN agency_id uuid;
ALTER TABLE sign_in_links ADD COLUMN invitation_id uuid;

ALTER TABLE members ADD COLUMN seen_at bigint NOT NULL DEFAULT 0;
ALTER TABLE sub_accounts ADD COLUMN archived_at bigint NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE sub_accounts DROP COLUMN archived_at;
ALTER TABLE members DROP COLUMN seen_at;
ALTER TABLE sign_in_links DROP COLUMN mailed, DROP COLUMN agency_id, DROP COLUMN invitation_id;
DROP TABLE invitations;
DROP TABLE mails;
