-- +goose Up
-- The counters once more, by day of the platform's zone and without who used and
-- who paid: what pages across agencies read. An agency's own days (usage_days)
-- begin at its midnight, so they cannot be added up to the platform's.
CREATE TABLE usage_platform_days (
    agency_id uuid NOT NULL,
    day       bigint NOT NULL,
    action    text NOT NULL,
    model     text NOT NULL,
    plan      bigint NOT NULL,
    purchased bigint NOT NULL,
    assigned  bigint NOT NULL,
    bonus     bigint NOT NULL,
    excess    bigint NOT NULL,
    units     bigint NOT NULL,
    charges   bigint NOT NULL,
    tests     bigint NOT NULL,
    PRIMARY KEY (agency_id, day, action, model)
);
ALTER TABLE agencies
    ADD COLUMN platform_rolled bigint NOT NULL DEFAULT 0,
    ADD COLUMN platform_zone text NOT NULL DEFAULT '';

-- +goose Down
ALTER TABLE agencies DROP COLUMN platform_rolled, DROP COLUMN platform_zone;
DROP TABLE usage_platform_days;
