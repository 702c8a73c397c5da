-- +goose Up
-- What a program creates under an idempotency key keeps the key and a
-- fingerprint of the request on its own row, as charges and purchases do.

ALTER TABLE agencies ADD COLUMN idempotency_key text;
ALTER TABLE agencies ADD COLUMN fingerprint blob;
CREATE UNIQUE INDEX agencies_key ON agencies (idempotency_key) WHERE idempotency_key IS NOT NULL;

ALTER TABLE sub_accounts ADD COLUMN idempotency_key text;
ALTER TABLE sub_accounts ADD COLUMN fingerprint blob;
CREATE UNIQUE INDEX sub_accounts_key ON sub_accounts (agency_id, idempotency_key) WHERE idempotency_key IS NOT NULL;

ALTER TABLE rate_card_versions ADD COLUMN idempotency_key text;
ALTER TABLE rate_card_versions ADD COLUMN fingerprint blob;
CREATE UNIQUE INDEX rate_card_versions_key ON rate_card_versions (card_id, idempotency_key) WHERE idempotency_key IS NOT NULL;

-- +goose Down
DROP INDEX agencies_key;
ALTER TABLE agencies DROP COLUMN idempotency_key;
ALTER TABLE agencies DROP COLUMN fingerprint;
DROP INDEX sub_accounts_key;
ALTER TABLE sub_accounts DROP COLUMN idempotency_key;
ALTER TABLE sub_accounts DROP COLUMN fingerprint;
DROP INDEX rate_card_versions_key;
ALTER TABLE rate_card_versions DROP COLUMN idempotency_key;
ALTER TABLE rate_card_versions DROP COLUMN fingerprint;
