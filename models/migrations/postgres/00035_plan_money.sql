-- +goose Up
-- What an operator has to know of a plan's payment that may be lost, as of a pack's: what is still on its way back, since when a bank asks, until when it waits for an answer, and since when the payment is taken for fraud.
ALTER TABLE plan_payments ADD COLUMN refund_pending bigint NOT NULL DEFAULT 0 CHECK (refund_pending >= 0);
ALTER TABLE plan_payments ADD COLUMN disputed_at bigint NOT NULL DEFAULT 0;
ALTER TABLE plan_payments ADD COLUMN dispute_answer_by bigint NOT NULL DEFAULT 0;
ALTER TABLE plan_payments ADD COLUMN warned_at bigint NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE plan_payments DROP COLUMN warned_at;
ALTER TABLE plan_payments DROP COLUMN dispute_answer_by;
ALTER TABLE plan_payments DROP COLUMN disputed_at;
ALTER TABLE plan_payments DROP COLUMN refund_pending;
