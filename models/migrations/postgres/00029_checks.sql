-- +goose Up
-- contract: what they forbid stays forbidden, and no program names them.
-- PostgreSQL reads and plans every CHECK of a table anew in each statement that writes it. A wallet's fourteen cost a charge on its own as much
-- as everything else of its update, so what a charge moves is checked in one expression, and words only when they are written.
ALTER TABLE wallets
    DROP CONSTRAINT wallets_agency_ceiling_check, DROP CONSTRAINT wallets_agency_excess_check, DROP CONSTRAINT wallets_drawn,
    DROP CONSTRAINT wallets_excess_check, DROP CONSTRAINT wallets_excess_limit_check, DROP CONSTRAINT wallets_funding_check,
    DROP CONSTRAINT wallets_held_check, DROP CONSTRAINT wallets_left, DROP CONSTRAINT wallets_pool_cap_check,
    DROP CONSTRAINT wallets_pool_drawn_check, DROP CONSTRAINT wallets_pool_every_check, DROP CONSTRAINT wallets_promised_check,
    DROP CONSTRAINT wallets_seq_check, DROP CONSTRAINT wallets_status_check,
    ADD CONSTRAINT wallets_sound CHECK (
        least(seq, held, excess, balance + excess, promised, drawn, pool_drawn, pool_cap, excess_limit, agency_excess, agency_ceiling) >= 0
        AND (drawn > 0) = (drawn_lot_id IS NOT NULL));
ALTER TABLE lot_rows
    DROP CONSTRAINT lots_check, DROP CONSTRAINT lots_check1, DROP CONSTRAINT lots_check2, DROP CONSTRAINT lots_cost_check,
    DROP CONSTRAINT lots_granted_check, DROP CONSTRAINT lots_held_check, DROP CONSTRAINT lots_note_check, DROP CONSTRAINT lots_remaining_check,
    DROP CONSTRAINT lots_source_check, DROP CONSTRAINT lots_unit_cost_check,
    ADD CONSTRAINT lots_sound CHECK (
        least(remaining, held, granted - 1, granted - remaining - held, expires_at - effective_at - 1, unit_cost, cost) >= 0
        AND open = (remaining > 0 OR held > 0));

-- +goose StatementBegin
CREATE FUNCTION refuse_word() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'table % does not know such a word, or it is too long', TG_TABLE_NAME USING ERRCODE = 'check_violation';
END $$;
-- +goose StatementEnd
-- After, not before: a trigger before an update locks each row once more, whichever column it waits for.
CREATE CONSTRAINT TRIGGER wallets_words AFTER INSERT OR UPDATE OF status, funding, pool_every ON wallets FOR EACH ROW
    WHEN (NEW.status NOT IN ('active', 'suspended', 'closed') OR NEW.funding NOT IN ('prepaid', 'pooled') OR NEW.pool_every NOT IN ('day', 'cycle'))
    EXECUTE FUNCTION refuse_word();
CREATE CONSTRAINT TRIGGER lots_words AFTER INSERT OR UPDATE OF source, note ON lot_rows FOR EACH ROW
    WHEN (NEW.source NOT IN ('plan', 'purchase', 'assigned', 'referral', 'promo', 'adjustment') OR length(NEW.note) > 500)
    EXECUTE FUNCTION refuse_word();

-- +goose Down
DROP TRIGGER lots_words ON lot_rows;
DROP TRIGGER wallets_words ON wallets;
DROP FUNCTION refuse_word();
ALTER TABLE lot_rows
    DROP CONSTRAINT lots_sound,
    ADD CONSTRAINT lots_check CHECK (remaining + held <= granted), ADD CONSTRAINT lots_check1 CHECK (open = (remaining > 0 OR held > 0)),
    ADD CONSTRAINT lots_check2 CHECK (effective_at < expires_at), ADD CONSTRAINT lots_cost_check CHECK (cost >= 0),
    ADD CONSTRAINT lots_granted_check CHECK (granted > 0), ADD CONSTRAINT lots_held_check CHECK (held >= 0),
    ADD CONSTRAINT lots_note_check CHECK (length(note) <= 500), ADD CONSTRAINT lots_remaining_check CHECK (remaining >= 0),
    ADD CONSTRAINT lots_source_check CHECK (source IN ('plan', 'purchase', 'assigned', 'referral', 'promo', 'adjustment')),
    ADD CONSTRAINT lots_unit_cost_check CHECK (unit_cost >= 0);
ALTER TABLE wallets
    DROP CONSTRAINT wallets_sound,
    ADD CONSTRAINT wallets_agency_ceiling_check CHECK (agency_ceiling >= 0), ADD CONSTRAINT wallets_agency_excess_check CHECK (agency_excess >= 0),
    ADD CONSTRAINT wallets_drawn CHECK (drawn >= 0 AND (drawn > 0) = (drawn_lot_id IS NOT NULL)),
    ADD CONSTRAINT wallets_excess_check CHECK (excess >= 0), ADD CONSTRAINT wallets_excess_limit_check CHECK (excess_limit >= 0),
    ADD CONSTRAINT wallets_funding_check CHECK (funding IN ('prepaid', 'pooled')), ADD CONSTRAINT wallets_held_check CHECK (held >= 0),
    ADD CONSTRAINT wallets_left CHECK (balance + excess >= 0), ADD CONSTRAINT wallets_pool_cap_check CHECK (pool_cap >= 0),
    ADD CONSTRAINT wallets_pool_drawn_check CHECK (pool_drawn >= 0), ADD CONSTRAINT wallets_pool_every_check CHECK (pool_every IN ('day', 'cycle')),
    ADD CONSTRAINT wallets_promised_check CHECK (promised >= 0), ADD CONSTRAINT wallets_seq_check CHECK (seq >= 0),
    ADD CONSTRAINT wallets_status_check CHECK (status IN ('active', 'suspended', 'closed'));
