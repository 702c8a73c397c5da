package billing

import (
	"context"
	"time"

	"gorm.io/gorm"

	"refill/billing/problem"
	"refill/models"
)

// AssistLife is how long somebody looks as another, in wall time.
const AssistLife = 30 * time.Minute

// BeginAssist lets an admin look at the portal as an agency's owner does (no
// sub-account), and an agency's owner or billing person as a client of theirs
// does. Whoever looks changes nothing: Viewer.Assisting says so, and the portal
// holds to it. The audit log tells who looked, and at what. Errors: no_entry.
func (s *Service) BeginAssist(ctx context.Context, who *Viewer, agency models.AgencyID, sub models.SubAccountID) (until models.Time, err error) {
	if _, err := s.Assist(ctx, who, agency, sub); err != nil {
		return 0, err
	}
	return s.people.wall.Now().Add(AssistLife), s.noteAssist(ctx, who, agency, sub, "assist.begin")
}

// EndAssist notes that somebody has stopped looking.
func (s *Service) EndAssist(ctx context.Context, who *Viewer, agency models.AgencyID, sub models.SubAccountID) error {
	return s.noteAssist(ctx, who, agency, sub, "assist.end")
}

func (s *Service) noteAssist(ctx context.Context, who *Viewer, agency models.AgencyID, sub models.SubAccountID, action string) error {
	target := agency.String()
	if !sub.IsZero() {
		target = sub.String()
	}
	return s.db.InTx(ctx, func(tx *gorm.DB) error {
		return s.audit(tx, agency, who.Actor(), action, target, "", "", s.clock.Now())
	})
}

// Assist is what somebody sees as another, by the rights they have at this moment.
// Errors: no_entry.
func (s *Service) Assist(ctx context.Context, who *Viewer, agency models.AgencyID, sub models.SubAccountID) (Viewer, error) {
	out := Viewer{User: who.User, Role: models.RoleOwner, Assisting: true, Places: 1}
	may := who.Admin && sub.IsZero() ||
		!who.Admin && who.Agency.ID == agency && !sub.IsZero() && (who.Role == models.RoleOwner || who.Role == models.RoleBilling)
	if !may || who.Assisting {
		return Viewer{}, noEntry(gorm.ErrRecordNotFound)
	}
	db := s.db.Read.WithContext(ctx)
	if err := db.Where("id = ?", agency).Take(&out.Agency).Error; err != nil {
		return Viewer{}, noEntry(err)
	}
	if sub.IsZero() {
		return out, nil
	}
	out.Role, out.SubAccount = models.RoleClient, &models.SubAccount{}
	err := db.Where("agency_id = ? AND id = ? AND status = ?", agency, sub, models.SubAccountActive).Take(out.SubAccount).Error
	if err != nil {
		return Viewer{}, noEntry(err)
	}
	return out, nil
}

// OnlyLooking is the answer to whoever looks as another and wants to change
// something.
func OnlyLooking() error {
	return problem.New(problem.Forbidden, "only_looking", "You are looking as somebody else and can change nothing. Stop looking to go on as yourself.")
}

// AssistOver tells whether the time to look has run out.
func (s *Service) AssistOver(until models.Time) bool { return until <= s.people.wall.Now() }
