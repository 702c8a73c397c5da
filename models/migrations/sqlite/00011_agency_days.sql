-- +goose Up
-- An agency's days without who used: what its owner's charts and the pages across
-- agencies read. usage_days has a row for each client a day, and the more there
-- is going on, the more of them.
CREATE TABLE usage_agency_days (
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
    own       integer NOT NULL,
    PRIMARY KEY (agency_id, day, action, model)
) WITHOUT ROWID;
INSERT INTO usage_agency_days (agency_id, day, action, model, plan, purchased, assigned, bonus, excess, units, charges, tests, own)
SELECT u.agency_id, u.day, u.action, u.model, CAST(SUM(u.plan) AS bigint), CAST(SUM(u.purchased) AS bigint), CAST(SUM(u.assigned) AS bigint), CAST(SUM(u.bonus) AS bigint), CAST(SUM(u.excess) AS bigint), CAST(SUM(u.units) AS bigint), CAST(SUM(u.charges) AS bigint), CAST(SUM(u.tests) AS bigint),
    CAST(SUM(CASE WHEN u.paid_wallet_id = a.wallet_id THEN u.plan + u.purchased + u.assigned + u.bonus + u.excess ELSE 0 END) AS bigint)
FROM agencies a JOIN usage_days u ON u.agency_id = a.id
GROUP BY u.agency_id, u.day, u.action, u.model;

-- A client's own charts.
CREATE INDEX usage_days_used ON usage_days (agency_id, wallet_id, day);

-- +goose Down
DROP INDEX usage_days_used;
DROP TABLE usage_agency_days;
