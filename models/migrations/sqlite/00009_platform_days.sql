-- +goose Up
-- The counters once more, by day of the platform's zone and without who used and
-- who paid: what pages across agencies read. An agency's own days (usage_days)
-- begin at its midnight, so they cannot be added up to the platform's.
CREATE TABLE usage_platform_days (
    agency_id blob NOT NULL,
    day       integer NOT NULL,
    action    text NOT NULL,
    model     text NOT NULL,
    plan      integer NOT NULL,
    purchased integer NOT NULL,
    assigned  integer NOT NULL,
    bonus     integer NOT NULL,
    excess    integer NOT NULL,
    units     integer NOT NULL,
    charges   integer NOT NULL,
    tests     integer NOT NULL,
    PRIMARY KEY (agency_id, day, action, model)
) WITHOUT ROWID;
ALTER TABLE agencies ADD COLUMN platform_rolled integer NOT NULL DEFAULT 0;
ALTER TABLE agencies ADD COLUMN platform_zone text NOT NULL DEFAULT '';

-- +goose Down
ALTER TABLE agencies DROP COLUMN platform_rolled;
ALTER TABLE agencies DROP COLUMN platform_zone;
DROP TABLE usage_platform_days;
