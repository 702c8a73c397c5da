-- +goose Up
-- Plans and packs are immutable per version: an edit archives the row and adds
-- one with the same code and the next version, so that who is on the old terms
-- keeps them.
UPDATE plans SET version = 1 WHERE version < 1;
ALTER TABLE plans
    DROP CONSTRAINT plans_code_key,
    ADD COLUMN note text NOT NULL DEFAULT '' CHECK (length(note) <= 500),
    ADD COLUMN created_by text NOT NULL DEFAULT '',
    ADD CHECK (version > 0),
    ADD UNIQUE (code, version);
CREATE UNIQUE INDEX plans_live ON plans (code) WHERE archived_at = 0;

ALTER TABLE packs
    DROP CONSTRAINT packs_code_key,
    ADD COLUMN version integer NOT NULL DEFAULT 1 CHECK (version > 0),
    ADD COLUMN note text NOT NULL DEFAULT '' CHECK (length(note) <= 500),
    ADD COLUMN created_by text NOT NULL DEFAULT '',
    ADD UNIQUE (code, version);
CREATE UNIQUE INDEX packs_live ON packs (code) WHERE archived_at = 0;

-- An agency that moves to another plan at its next reset.
ALTER TABLE subscriptions ADD COLUMN next_plan_id uuid REFERENCES plans (id);
CREATE INDEX subscriptions_plan ON subscriptions (plan_id) WHERE ended_at = 0;

-- +goose Down
DROP INDEX subscriptions_plan;
ALTER TABLE subscriptions DROP COLUMN next_plan_id;
UPDATE plans SET code = left(code, 48) || '.v' || version
    WHERE archived_at > 0 AND EXISTS (SELECT FROM plans o WHERE o.code = plans.code AND o.version > plans.version);
UPDATE packs SET code = left(code, 48) || '.v' || version
    WHERE archived_at > 0 AND EXISTS (SELECT FROM packs o WHERE o.code = packs.code AND o.version > packs.version);
DROP INDEX plans_live;
DROP INDEX packs_live;
ALTER TABLE plans DROP CONSTRAINT plans_code_version_key, DROP COLUMN note, DROP COLUMN created_by, ADD UNIQUE (code);
ALTER TABLE packs DROP CONSTRAINT packs_code_version_key, DROP COLUMN version, DROP COLUMN note, DROP COLUMN created_by, ADD UNIQUE (code);
