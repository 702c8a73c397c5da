-- +goose Up
-- Two checkouts of one package that were open at once may both be paid: what is paid is booked, and the client cancels one.
DROP INDEX package_subscriptions_running;
CREATE INDEX package_subscriptions_running ON package_subscriptions (agency_id, wallet_id, package_id) WHERE status IN ('active', 'past_due');
CREATE INDEX purchases_months ON purchases (agency_id, subscription_id) WHERE subscription_id IS NOT NULL;

-- +goose Down
DROP INDEX purchases_months;
DROP INDEX package_subscriptions_running;
CREATE UNIQUE INDEX package_subscriptions_running ON package_subscriptions (agency_id, wallet_id, package_id) WHERE status IN ('active', 'past_due');
