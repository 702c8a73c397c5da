-- +goose Up
-- How an agency's portal looks: version 0 is the draft, the others were published.
ALTER TABLE agencies ADD COLUMN brand integer NOT NULL DEFAULT 0;
ALTER TABLE agencies ADD COLUMN domain text NOT NULL DEFAULT '';
ALTER TABLE mails ADD COLUMN from_address text NOT NULL DEFAULT '';
CREATE TABLE brands (
    agency_id      uuid NOT NULL REFERENCES agencies (id),
    version        integer NOT NULL CHECK (version >= 0),
    name           text NOT NULL CHECK (length(name) <= 60),
    colour         text NOT NULL CHECK (colour = '' OR length(colour) = 7),
    logo           text NOT NULL,
    logo_width     integer NOT NULL,
    logo_height    integer NOT NULL,
    support        text NOT NULL CHECK (length(support) <= 254),
    sender_name    text NOT NULL CHECK (length(sender_name) <= 60),
    sender_address text NOT NULL CHECK (length(sender_address) <= 254),
    created_by     text NOT NULL,
    created_at     bigint NOT NULL,
    PRIMARY KEY (agency_id, version)
);
CREATE TABLE logos (
    agency_id  uuid NOT NULL REFERENCES agencies (id),
    name       text NOT NULL CHECK (length(name) = 26),
    png        bytea NOT NULL CHECK (length(png) <= 1048576),
    width      integer NOT NULL CHECK (width BETWEEN 1 AND 1024),
    height     integer NOT NULL CHECK (height BETWEEN 1 AND 1024),
    pale_light boolean NOT NULL,
    pale_dark  boolean NOT NULL,
    created_at bigint NOT NULL,
    PRIMARY KEY (agency_id, name)
);

-- Names of an agency's own: claimed, and those proved, to be found without knowing whose they are.
CREATE TABLE domains (
    agency_id     uuid NOT NULL REFERENCES agencies (id),
    name          text NOT NULL CHECK (length(name) BETWEEN 4 AND 253),
    token         text NOT NULL CHECK (length(token) >= 26),
    verified_at   bigint NOT NULL DEFAULT 0,
    failing_since bigint NOT NULL DEFAULT 0,
    checked_at    bigint NOT NULL DEFAULT 0,
    check_at      bigint NOT NULL DEFAULT 0,
    note          text NOT NULL DEFAULT '',
    created_by    text NOT NULL,
    created_at    bigint NOT NULL,
    PRIMARY KEY (agency_id, name)
);
CREATE INDEX domains_due ON domains (check_at, agency_id, name) WHERE verified_at > 0;
CREATE TABLE hosts (
    name      text NOT NULL PRIMARY KEY CHECK (length(name) BETWEEN 4 AND 253),
    agency_id uuid NOT NULL REFERENCES agencies (id)
);

-- Where a client's balance may stand on somebody's page.
CREATE TABLE embeds (
    agency_id  uuid NOT NULL PRIMARY KEY REFERENCES agencies (id),
    secret     bytea NOT NULL CHECK (length(secret) >= 32),
    origins    text NOT NULL,
    updated_at bigint NOT NULL
);

-- +goose Down
DROP TABLE embeds;
DROP TABLE hosts;
DROP TABLE domains;
DROP TABLE logos;
DROP TABLE brands;
ALTER TABLE mails DROP COLUMN from_address;
ALTER TABLE agencies DROP COLUMN domain;
ALTER TABLE agencies DROP COLUMN brand;
