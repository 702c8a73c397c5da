-- +goose Up
-- When a proxy last asked for a certificate of a proved name, and was told yes; 0: not since it was proved.
ALTER TABLE domains ADD COLUMN certificate_at integer NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE domains DROP COLUMN certificate_at;
