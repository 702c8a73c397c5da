package billing

import (
	"context"

	"refill/models"
)

// Step is one thing an agency does to be set up.
type Step string

// The steps, in the order they are shown; any may be done first.
const (
	StepFirstReply Step = "first_reply"
	StepSubAccount Step = "sub_account"
	StepInvite     Step = "invite"
	StepConnect    Step = "connect"
	StepPackage    Step = "package"
)

// CheckedStep is a step and whether it is done.
type CheckedStep struct {
	Step Step
	Done bool
}

// Checklist tells from an agency's real state which steps are done; nobody ticks
// them.
func (s *Service) Checklist(ctx context.Context, a *Account) ([]CheckedStep, error) {
	read := s.db.Read.WithContext(ctx)
	id := a.Agency.ID
	var done struct{ FirstReply, SubAccount, Invite, Connect, Package bool }
	err := read.Raw(`SELECT
			EXISTS (SELECT 1 FROM wallets WHERE agency_id = @id AND used_at > 0) AS first_reply,
			EXISTS (SELECT 1 FROM sub_accounts WHERE agency_id = @id) AS sub_account,
			EXISTS (SELECT 1 FROM members WHERE agency_id = @id AND role = @client)
				OR EXISTS (SELECT 1 FROM invitations WHERE agency_id = @id AND role = @client) AS invite,
			EXISTS (SELECT 1 FROM stripe_accounts WHERE agency_id = @id AND charges_enabled AND disconnected_at = 0) AS connect,
			EXISTS (SELECT 1 FROM packages WHERE agency_id = @id AND on_sale AND archived_at = 0) AS package`,
		map[string]any{"id": id, "client": models.RoleClient}).Scan(&done).Error
	return []CheckedStep{
		{StepFirstReply, done.FirstReply},
		{StepSubAccount, done.SubAccount},
		{StepInvite, done.Invite},
		{StepConnect, done.Connect},
		{StepPackage, done.Package},
	}, err
}
