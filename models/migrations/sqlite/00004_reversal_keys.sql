-- +goose Up
-- A reversal's idempotency key is bound to it, as a charge's is. Before, one key
-- could reverse many charges: the first of them keeps it, and the others, which
-- are found by their charge, have the charge's id for a key.
UPDATE reversals SET idempotency_key = 'charge:' || lower(hex(charge_id)) WHERE charge_id IN (
    SELECT charge_id FROM (
        SELECT charge_id, row_number() OVER (PARTITION BY agency_id, idempotency_key ORDER BY created_at, charge_id) AS nth FROM reversals
    ) AS numbered WHERE nth > 1
);
CREATE UNIQUE INDEX reversals_key ON reversals (agency_id, idempotency_key);

-- +goose Down
DROP INDEX reversals_key;
