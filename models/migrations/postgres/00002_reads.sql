-- +goose Up
-- What screens read by wallet. The counters' two cost the charge path an
-- insertion a quarter of an hour and group; the partial ones cost it nothing.
CREATE INDEX usage_quarters_paid ON usage_quarters (agency_id, paid_wallet_id, quarter);
CREATE INDEX usage_quarters_used ON usage_quarters (agency_id, wallet_id, quarter);
CREATE INDEX acts_wallet ON acts (agency_id, wallet_id, created_at, seq);
CREATE INDEX acts_other ON acts (agency_id, other_wallet_id, created_at, other_seq) WHERE other_wallet_id IS NOT NULL;
CREATE INDEX holds_kept ON holds (agency_id, wallet_id, created_at) WHERE state <> 'captured';
CREATE INDEX holds_ended ON holds (agency_id, wallet_id, ended_at) WHERE state IN ('released', 'expired');
CREATE INDEX charges_tests ON charges (agency_id, wallet_id, id) WHERE test;

-- +goose Down
DROP INDEX usage_quarters_paid, usage_quarters_used, acts_wallet, acts_other, holds_kept, holds_ended, charges_tests;
