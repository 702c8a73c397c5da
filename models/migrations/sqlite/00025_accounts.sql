-- +goose Up
-- People prove who they are in two steps, see where they are signed in, and set
-- a forgotten password by mail.

-- The secret is sealed with a key that is not in the database. It counts once
-- two_step_at is set; two_step_used is the last step of time whose code was taken.
ALTER TABLE users ADD COLUMN two_step_secret text NOT NULL DEFAULT '';
ALTER TABLE users ADD COLUMN two_step_at integer NOT NULL DEFAULT 0;
ALTER TABLE users ADD COLUMN two_step_used integer NOT NULL DEFAULT 0;

CREATE TABLE recovery_codes (
    user_id   blob NOT NULL REFERENCES users (id),
    code_hash blob NOT NULL,
    PRIMARY KEY (user_id, code_hash)
) WITHOUT ROWID;

-- Half a session has the first of two proofs and opens nothing.
ALTER TABLE sessions ADD COLUMN half boolean NOT NULL DEFAULT false;
ALTER TABLE sessions ADD COLUMN proved_at integer NOT NULL DEFAULT 0;
ALTER TABLE sessions ADD COLUMN agent text NOT NULL DEFAULT '';
ALTER TABLE sessions ADD COLUMN address text NOT NULL DEFAULT '';

-- A mailed link that sets a password, or confirms another e-mail address: one of
-- each per person, for the address it was mailed to.
CREATE TABLE account_links (
    token_hash blob PRIMARY KEY,
    user_id    blob NOT NULL REFERENCES users (id),
    kind       text NOT NULL CHECK (kind IN ('password', 'email')),
    email      text NOT NULL CHECK (length(email) BETWEEN 3 AND 254),
    agency_id  blob,
    expires_at integer NOT NULL,
    UNIQUE (user_id, kind)
);

-- A window begins with its first failure; the failure that fills it begins the
-- wait.
DROP TABLE sign_in_attempts;
CREATE TABLE sign_in_attempts (
    subject      text PRIMARY KEY,
    window_start integer NOT NULL,
    failures     integer NOT NULL
) WITHOUT ROWID;

ALTER TABLE agencies ADD COLUMN two_step boolean NOT NULL DEFAULT false;

-- Scopes and networks are separated by spaces; none is all of them. expires_at and
-- last_used_at are wall time.
ALTER TABLE api_keys ADD COLUMN scopes text NOT NULL DEFAULT '';
ALTER TABLE api_keys ADD COLUMN networks text NOT NULL DEFAULT '' CHECK (length(networks) <= 1000);
ALTER TABLE api_keys ADD COLUMN expires_at integer NOT NULL DEFAULT 0;
ALTER TABLE api_keys ADD COLUMN last_used_at integer NOT NULL DEFAULT 0;
ALTER TABLE api_keys ADD COLUMN replaced_by blob;
ALTER TABLE api_keys ADD COLUMN created_by text NOT NULL DEFAULT '';
CREATE INDEX api_keys_owner ON api_keys (agency_id, id);

-- The audit log is sealed after the commit, in the order in which rows are found:
-- each seal's hash covers the one before it and the row. What waits is written by
-- the database, whoever writes the row.
CREATE TABLE audit_seals (
    seq      integer PRIMARY KEY,
    audit_id blob NOT NULL UNIQUE,
    hash     blob NOT NULL,
    at       integer NOT NULL
);
CREATE TABLE audit_unsealed (
    audit_id blob PRIMARY KEY
) WITHOUT ROWID;
INSERT INTO audit_unsealed (audit_id) SELECT id FROM audit_log;
-- +goose StatementBegin
CREATE TRIGGER audit_to_seal AFTER INSERT ON audit_log BEGIN INSERT INTO audit_unsealed (audit_id) VALUES (NEW.id); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER seals_no_update BEFORE UPDATE ON audit_seals BEGIN SELECT RAISE(ABORT, 'table audit_seals is append-only'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER seals_no_delete BEFORE DELETE ON audit_seals BEGIN SELECT RAISE(ABORT, 'table audit_seals is append-only'); END;
-- +goose StatementEnd

-- +goose Down
DROP TRIGGER audit_to_seal;
DROP TABLE audit_unsealed;
DROP TABLE audit_seals;
DROP INDEX api_keys_owner;
ALTER TABLE api_keys DROP COLUMN created_by;
ALTER TABLE api_keys DROP COLUMN replaced_by;
ALTER TABLE api_keys DROP COLUMN last_used_at;
ALTER TABLE api_keys DROP COLUMN expires_at;
ALTER TABLE api_keys DROP COLUMN networks;
ALTER TABLE api_keys DROP COLUMN scopes;
ALTER TABLE agencies DROP COLUMN two_step;
DROP TABLE sign_in_attempts;
CREATE TABLE sign_in_attempts (
    subject  text NOT NULL,
    window_start integer NOT NULL,
    failures integer NOT NULL,
    PRIMARY KEY (subject, window_start)
);
DROP TABLE account_links;
ALTER TABLE sessions DROP COLUMN address;
ALTER TABLE sessions DROP COLUMN agent;
ALTER TABLE sessions DROP COLUMN proved_at;
ALTER TABLE sessions DROP COLUMN half;
DROP TABLE recovery_codes;
ALTER TABLE users DROP COLUMN two_step_used;
ALTER TABLE users DROP COLUMN two_step_at;
ALTER TABLE users DROP COLUMN two_step_secret;
