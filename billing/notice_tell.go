package billing

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"refill/billing/mail"
	"refill/billing/problem"
	"refill/models"
)

// tellBatch is how many notices one round takes up.
const tellBatch = 200

// One tick does so many rounds, in transactions of so many wallets; one that could
// not be told waits.
const (
	tellRounds   = 20
	tellTogether = 25
	tellAgain    = time.Minute
)

// noticeLife is how long a mail about an event is worth sending, in wall time.
const noticeLife = 72 * time.Hour

// digestRows bounds the table of a mail that says several things.
const digestRows = 40

// tellDue works out who hears of the notices that are due, and how: copies for
// people's lists, and mails in the outbox. Each notice is told once, by whichever
// process comes first; one agency's trouble holds up nobody else.
func (s *Service) tellDue(ctx context.Context, now models.Time) error {
	key, err := s.offKey(ctx)
	if err != nil {
		return err
	}
	told := 0
	for range tellRounds {
		due, err := s.dueNotices(ctx, now)
		if err != nil {
			return err
		}
		for parts := range slices.Chunk(byWallet(due), tellTogether) {
			if err := s.tell(ctx, key, parts, now); err == nil {
				continue
			} else if ctx.Err() != nil {
				return err
			}
			for _, part := range parts { // one of them is to blame: the others go on without it
				if err := s.tell(ctx, key, [][]models.Notice{part}, now); err != nil {
					s.log.LogAttrs(ctx, slog.LevelError, "tell a notice", slog.String("wallet", part[0].WalletID.String()), slog.Any("error", err))
					if err := s.tellLater(ctx, part, now.Add(tellAgain)); err != nil {
						return err
					}
				}
			}
		}
		told += len(due)
		if len(due) < tellBatch {
			break
		}
	}
	if told > 0 {
		s.post.wake()
	}
	return nil
}

// dueNotices is the next batch. That a period has begun waits for everything else:
// all agencies' may begin at once.
func (s *Service) dueNotices(ctx context.Context, now models.Time) ([]models.Notice, error) {
	var due, resets []models.Notice
	read := func(compare string, most int, into *[]models.Notice) error {
		return s.db.Read.WithContext(ctx).Where("told_at = 0 AND due_at <= ?", now).Where("event "+compare+" ?", models.NoticePlanReset).
			Order("due_at, agency_id, wallet_id, id").Limit(most).Find(into).Error
	}
	if err := read("<>", tellBatch, &due); err != nil || len(due) == tellBatch {
		return due, err
	}
	err := read("=", tellBatch-len(due), &resets)
	return append(due, resets...), err
}

// tellLater puts notices behind the others that wait.
func (s *Service) tellLater(ctx context.Context, part []models.Notice, at models.Time) error {
	ids := make([]models.NoticeID, len(part))
	for i := range part {
		ids[i] = part[i].ID
	}
	return s.db.Write.WithContext(ctx).Model(&models.Notice{}).Where("agency_id = ? AND id IN ? AND told_at = 0", part[0].AgencyID, ids).Update("due_at", at).Error
}

// byWallet puts what goes to the same people together, in order.
func byWallet(due []models.Notice) [][]models.Notice {
	slices.SortStableFunc(due, func(a, b models.Notice) int {
		if c := a.AgencyID.Compare(b.AgencyID); c != 0 {
			return c
		}
		return a.WalletID.Compare(b.WalletID)
	})
	var out [][]models.Notice
	for i := range due {
		if i == 0 || due[i].AgencyID != due[i-1].AgencyID || due[i].WalletID != due[i-1].WalletID {
			out = append(out, nil)
		}
		out[len(out)-1] = append(out[len(out)-1], due[i])
	}
	return out
}

// audience is the people of a wallet and how they are spoken to.
type audience struct {
	agency models.Agency
	circle Circle
	people []Person
	voice  Voice
	reply  string // where answers go
	home   string // address of their portal
	away   bool   // they are of a client that was put away: they have no entry
	wants  map[models.UserID]map[want]bool
}

type want struct {
	event   models.NoticeEvent
	channel models.NoticeChannel
}

// tell tells the notices of some wallets.
func (s *Service) tell(ctx context.Context, key []byte, parts [][]models.Notice, now models.Time) error {
	return s.db.InTx(ctx, func(tx *gorm.DB) error {
		for _, part := range parts {
			if err := s.tellWallet(tx, key, part, now); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *Service) tellWallet(tx *gorm.DB, key []byte, part []models.Notice, now models.Time) error {
	ids := make([]models.NoticeID, len(part))
	for i := range part {
		ids[i] = part[i].ID
	}
	var mine []models.Notice
	if err := tx.Clauses(clause.Locking{Strength: "UPDATE", Options: "SKIP LOCKED"}).
		Where("agency_id = ? AND id IN ? AND told_at = 0", part[0].AgencyID, ids).Order("id").Find(&mine).Error; err != nil || len(mine) == 0 {
		return err
	}
	who, err := s.audienceOf(tx, mine[0].AgencyID, mine[0].WalletID)
	if err != nil {
		return err
	}
	for i := range who.people {
		if err := s.tellPerson(tx, key, who, &who.people[i], mine, now); err != nil {
			return err
		}
	}
	for i := range mine {
		ids[i] = mine[i].ID
	}
	return tx.Model(&models.Notice{}).Where("agency_id = ? AND id IN ?", mine[0].AgencyID, ids[:len(mine)]).Update("told_at", now).Error
}

// audienceOf reads who hears of a wallet: an agency's team, or a client's people.
func (s *Service) audienceOf(tx *gorm.DB, agency models.AgencyID, wallet models.WalletID) (*audience, error) {
	out := &audience{}
	if err := tx.Where("id = ?", agency).Take(&out.agency).Error; err != nil {
		return nil, err
	}
	out.voice = Voice{Agency: strings.TrimSpace(out.agency.Name), Platform: s.post.platform, Zone: Zone(out.agency.TimeZone)}
	out.circle, out.home = Circle{Agency: agency}, s.home(nil)
	if wallet != out.agency.WalletID {
		var sub models.SubAccount
		if err := tx.Where("agency_id = ? AND wallet_id = ?", agency, wallet).Take(&sub).Error; err != nil {
			return nil, err
		}
		out.away = sub.Status != models.SubAccountActive
		out.circle.SubAccount, out.home = sub.ID, s.home(&out.agency)
		out.voice.Client, out.voice.Platform, out.voice.Zone = true, "", Zone(sub.TimeZone)
		brand, err := s.brandIn(tx, &out.agency)
		if err != nil {
			return nil, err
		}
		out.voice.Portal = brand.Name
		// Who answers a client's notice writes to their agency.
		var owners []Person
		if err := (Circle{Agency: agency}).members(peopleIn(tx)).Where("members.role = ?", models.RoleOwner).
			Order("members.created_at, members.user_id").Limit(1).Scan(&owners).Error; err != nil {
			return nil, err
		}
		if out.reply = supportMail(&brand); out.reply == "" && len(owners) > 0 {
			out.reply = owners[0].Email
		}
	}
	if err := out.circle.members(peopleIn(tx)).Order("users.id").Scan(&out.people).Error; err != nil {
		return nil, err
	}
	return out, out.readWants(tx)
}

// readWants reads what the people chose.
func (a *audience) readWants(tx *gorm.DB) error {
	users := make([]models.UserID, len(a.people))
	for i := range a.people {
		users[i] = a.people[i].ID
	}
	var rows []models.NoticeChoice
	if len(users) > 0 {
		if err := tx.Where("agency_id = ? AND user_id IN ?", a.agency.ID, users).Find(&rows).Error; err != nil {
			return err
		}
	}
	a.wants = map[models.UserID]map[want]bool{}
	for _, r := range rows {
		if a.wants[r.UserID] == nil {
			a.wants[r.UserID] = map[want]bool{}
		}
		a.wants[r.UserID][want{r.Event, r.Channel}] = r.Wanted
	}
	return nil
}

// wanted tells whether a person hears of an event in a way.
func (a *audience) wanted(p *Person, e models.NoticeEvent, c models.NoticeChannel) bool {
	if c == models.ChannelMail && MustMail(p.Role, e) {
		return true
	}
	if chosen, ok := a.wants[p.ID][want{e, c}]; ok {
		return chosen
	}
	return UsuallyTold(p.Role, e, c)
}

// tellPerson writes somebody's copies of notices, and the mails that say them:
// several about clients, or about credits that expire, in one.
func (s *Service) tellPerson(tx *gorm.DB, key []byte, who *audience, p *Person, all []models.Notice, now models.Time) error {
	copies := map[models.NoticeID]*models.NoticeCopy{}
	var mails [][]*models.Notice
	family := map[string]int{}
	for i := range all {
		n := &all[i]
		if who.away && n.Event != models.NoticeMonthEnded { // of their money they still hear
			continue
		}
		inApp, mailed := who.wanted(p, n.Event, models.ChannelInApp), who.wanted(p, n.Event, models.ChannelMail)
		if !inApp && !mailed {
			continue
		}
		copies[n.ID] = &models.NoticeCopy{AgencyID: n.AgencyID, UserID: p.ID, NoticeID: n.ID, InApp: inApp}
		if !mailed {
			continue
		}
		of := familyOf(n.Event)
		if at, ok := family[of]; ok && of != "" {
			mails[at] = append(mails[at], n)
			continue
		}
		family[of] = len(mails)
		mails = append(mails, []*models.Notice{n})
	}
	for _, ns := range mails {
		row, err := s.mailNotice(tx, key, who, p, ns, now)
		if err != nil {
			return err
		}
		for _, n := range ns {
			copies[n.ID].MailID, copies[n.ID].Address = row.ID, p.Email
		}
	}
	rows := make([]*models.NoticeCopy, 0, len(copies))
	for i := range all {
		if c := copies[all[i].ID]; c != nil {
			rows = append(rows, c)
		}
	}
	if len(rows) == 0 {
		return nil
	}
	return tx.Create(&rows).Error
}

// familyOf names events that one mail may tell of together; "" for one that
// stands alone.
func familyOf(e models.NoticeEvent) string {
	switch {
	case gathered(e):
		return familyClients
	case e == models.NoticeExpiring:
		return string(e)
	}
	return ""
}

// familyClients is everything about an agency's clients.
const familyClients = "sub_account"

func (s *Service) mailNotice(tx *gorm.DB, key []byte, who *audience, p *Person, ns []*models.Notice, now models.Time) (models.Mail, error) {
	to := *who
	to.voice.Member = p.Role == models.RoleMember
	letter := to.letter(ns)
	of := string(ns[0].Event)
	if len(ns) > 1 {
		of = familyOf(ns[0].Event)
	}
	if !MustMail(p.Role, ns[0].Event) {
		letter.Off = who.home + offPath(key, offRight{who.agency.ID, p.ID, of})
	}
	return s.putInOutbox(tx, who.envelope(p), &letter, now)
}

// letter is notices as a mail.
func (a *audience) letter(ns []*models.Notice) mail.Letter {
	w := a.voice.Say(ns[0])
	out := mail.Letter{Brand: a.voice.house(), Subject: w.Title, Lines: w.Lines, Button: w.Button}
	if w.Button != "" {
		out.URL = a.home + w.Path
	}
	out.After = []string{"You get this because you look after " + a.whose() + " at " + a.voice.house() + "."}
	if len(ns) == 1 {
		return out
	}
	for i, n := range ns {
		if i == digestRows {
			out.Rows = append(out.Rows, mail.Row{Name: "And", Value: fmt.Sprintf("%d more", len(ns)-i)})
			break
		}
		say := a.voice.Say(n)
		row := mail.Row{Name: n.Facts.Name, Value: strings.TrimPrefix(say.Lines[0], n.Facts.Name+" ")}
		if n.Event == models.NoticeExpiring {
			row = mail.Row{Name: creditsWord(n.Facts.Credits), Value: strings.TrimSpace(expire(n.Facts.Credits)) + " " + days(n.Facts.At, n.CreatedAt, a.voice.Zone)}
		}
		out.Rows = append(out.Rows, row)
	}
	if ns[0].Event == models.NoticeExpiring {
		out.Subject = "Credits expire soon"
		var sum models.Credits
		for _, n := range ns {
			sum += n.Facts.Credits
		}
		out.Lines = []string{creditsWord(sum) + " of yours expire soon if they are not used by then.", "They are used before credits that never expire. Nothing stops."}
		return out
	}
	out.Subject = clientsWord(ns)
	out.Lines = []string{clientsWord(ns) + ".", "Those that are paused start again at once when they have credits: assign some, or let them buy."}
	out.Button, out.URL = "See your sub-accounts", a.home+"/sub-accounts"
	return out
}

func (a *audience) whose() string {
	if a.voice.Client {
		return "an account"
	}
	return a.voice.Agency
}

// clientsWord counts what happened to clients: "2 clients paused, 1 low, 3 bought".
func clientsWord(ns []*models.Notice) string {
	var paused, low, bought int
	for _, n := range ns {
		switch n.Event { //nolint:exhaustive // events of clients
		case models.NoticeSubAccountPaused:
			paused++
		case models.NoticeSubAccountLow:
			low++
		case models.NoticeSubAccountBought:
			bought++
		}
	}
	var out []string
	for _, part := range []struct {
		n    int
		word string
	}{{paused, "paused"}, {low, "low on credits"}, {bought, "bought credits"}} {
		if part.n > 0 {
			out = append(out, fmt.Sprintf("%d %s", part.n, part.word))
		}
	}
	return "Your clients: " + strings.Join(out, ", ")
}

// MustMail tells mails that nobody may turn off: a payment that failed, to who
// can pay.
func MustMail(r models.Role, e models.NoticeEvent) bool {
	if r != models.RoleOwner && r != models.RoleBilling {
		return false
	}
	switch e { //nolint:exhaustive // all others may be turned off
	case models.NoticeTopUpFailed, models.NoticeTopUpPaused, models.NoticePlanPastDue:
		return true
	}
	return false
}

// UsuallyTold is what somebody with a role hears of who has chosen nothing.
// Clients and whoever pays get mails; a member reads along in the portal.
func UsuallyTold(r models.Role, e models.NoticeEvent, c models.NoticeChannel) bool {
	switch e { //nolint:exhaustive // the rest is for everybody
	case models.NoticeTest:
		return true
	case models.NoticeSummaryWeekly:
		return c == models.ChannelMail && r == models.RoleOwner
	case models.NoticePlanReset, models.NoticeTopUpDone:
		return c == models.ChannelInApp || e == models.NoticeTopUpDone && r != models.RoleMember
	case models.NoticeSubAccountLow:
		return c == models.ChannelInApp
	}
	return c == models.ChannelInApp || r != models.RoleMember
}

// EventsFor lists what an agency's people, or a client's, can choose to hear of.
func EventsFor(client bool) []models.NoticeEvent {
	common := []models.NoticeEvent{
		models.NoticeLow, models.NoticeCritical, models.NoticePaused, models.NoticeResumed,
	}
	if client {
		return append(common, models.NoticeUpstreamPaused, models.NoticeExpiring, models.NoticePurchaseCredited, models.NoticePurchaseRefunded,
			models.NoticeRefundFailed, models.NoticePaymentDisputed, models.NoticeDisputeDecided, models.NoticeTopUpDone, models.NoticeTopUpFailed, models.NoticeTopUpLimit, models.NoticeTopUpPaused,
			models.NoticeMonthUnpaid, models.NoticeMonthSkipped, models.NoticeMonthEnded, models.NoticeStandingSkipped, models.NoticeGiftRedeemed)
	}
	return append(common, models.NoticeExpiring, models.NoticePlanReset, models.NoticePlanPastDue, models.NoticePlanEnded,
		models.NoticeTopUpDone, models.NoticeTopUpFailed, models.NoticeTopUpLimit, models.NoticeTopUpPaused,
		models.NoticePurchaseCredited, models.NoticePurchaseRefunded, models.NoticeRefundFailed, models.NoticePaymentDisputed, models.NoticeDisputeDecided,
		models.NoticePaymentWarned, models.NoticeSalesPaused, models.NoticeSalesResumed, models.NoticeSaleWaits, models.NoticeMonthUnpaid, models.NoticeMonthSkipped, models.NoticeMonthEnded,
		models.NoticeSubAccountLow, models.NoticeSubAccountPaused, models.NoticeSubAccountBought, models.NoticeStandingSkipped,
		models.NoticeRateChanged, models.NoticeReferralEarned, models.NoticeGiftRedeemed, models.NoticeSummaryWeekly)
}

// offSetting holds the key that signs the addresses which turn mails off.
const offSetting = "notice_off_key"

// offKey reads the key, and makes it once.
func (s *Service) offKey(ctx context.Context) ([]byte, error) {
	text, err := s.Setting(ctx, offSetting)
	if err == nil && text == "" {
		if err = s.db.Write.WithContext(ctx).Clauses(clause.OnConflict{DoNothing: true}).
			Create(&models.Setting{Name: offSetting, Value: NewSecret()}).Error; err == nil {
			err = s.db.Write.WithContext(ctx).Model(&models.Setting{}).Where("name = ?", offSetting).Pluck("value", &text).Error
		}
	}
	if err != nil {
		return nil, fmt.Errorf("read the key of notices: %w", err)
	}
	return []byte(text), nil
}

// offRight is what a signed address turns off: one person's mails of an event, or of
// a family of them.
type offRight struct {
	agency models.AgencyID
	user   models.UserID
	of     string
}

const offSeal = 16 // bytes of the signature

func offToken(key []byte, o offRight) string {
	body := slices.Concat(o.agency[:], o.user[:], []byte(o.of))
	return base64.RawURLEncoding.EncodeToString(append(body, sealOf(key, body)...))
}

func sealOf(key, body []byte) []byte {
	mac := hmac.New(sha256.New, key)
	_, _ = mac.Write([]byte("turn off mails\x00"))
	_, _ = mac.Write(body)
	return mac.Sum(nil)[:offSeal]
}

func readOffToken(key []byte, token string) (offRight, bool) {
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(key) == 0 || len(raw) <= 32+offSeal || len(raw) > 200 {
		return offRight{}, false
	}
	body, seal := raw[:len(raw)-offSeal], raw[len(raw)-offSeal:]
	if !hmac.Equal(seal, sealOf(key, body)) {
		return offRight{}, false
	}
	return offRight{models.AgencyID(body[:16]), models.UserID(body[16:32]), string(body[32:])}, true
}

// gone is said of an address that turns nothing off.
func gone() error {
	return problem.New(problem.NotFound, "link_expired", "This address turns no mails off. Sign in to choose what you hear of.")
}

// MailsOffPath is where somebody turns their mails about an event off, on their own
// portal, signed in or not.
func (s *Service) MailsOffPath(ctx context.Context, agency models.AgencyID, user models.UserID, e models.NoticeEvent) (string, error) {
	key, err := s.offKey(ctx)
	return offPath(key, offRight{agency, user, string(e)}), err
}

func offPath(key []byte, o offRight) string { return "/notices/off/" + offToken(key, o) }

// MailsOff is what an address in a mail turns off.
type MailsOff struct {
	Events []models.NoticeEvent
	Email  string
	Agency models.Agency
	Off    bool // it is done

	user   models.UserID
	client bool
}

// MailsOff reads what a signed address would turn off, at the portal's door or
// (zero) the platform's. Errors: link_expired.
func (s *Service) MailsOff(ctx context.Context, portal models.AgencyID, token string) (MailsOff, error) {
	key, err := s.Setting(ctx, offSetting)
	if err != nil {
		return MailsOff{}, err
	}
	o, ok := readOffToken([]byte(key), token)
	if !ok {
		return MailsOff{}, gone()
	}
	db := s.db.Read.WithContext(ctx)
	out := MailsOff{user: o.user}
	var m models.Member
	if err := db.Where("agency_id = ? AND user_id = ?", o.agency, o.user).Take(&m).Error; err != nil {
		if errors.Is(err, gorm.ErrRecordNotFound) {
			err = gone()
		}
		return out, err
	}
	out.client = m.Role == models.RoleClient
	if out.client != !portal.IsZero() || out.client && portal != o.agency {
		return out, gone() // of another door
	}
	for _, e := range append(EventsFor(out.client), models.NoticeTest) { // a test's address works like any other
		if string(e) == o.of || familyOf(e) == o.of {
			out.Events = append(out.Events, e)
		}
	}
	if len(out.Events) == 0 {
		return out, gone()
	}
	if err := errors.Join(db.Where("id = ?", o.agency).Take(&out.Agency).Error,
		db.Model(&models.User{}).Where("id = ?", o.user).Pluck("email", &out.Email).Error); err != nil {
		return out, missing(err, "address")
	}
	var off int64
	err = db.Model(&models.NoticeChoice{}).Where("agency_id = ? AND user_id = ? AND channel = ? AND wanted = ? AND event IN ?",
		o.agency, o.user, models.ChannelMail, false, out.Events).Count(&off).Error
	out.Off = off == int64(len(out.Events))
	return out, err
}

// TurnMailsOff does it; again changes nothing. Errors: link_expired.
func (s *Service) TurnMailsOff(ctx context.Context, portal models.AgencyID, token string) (MailsOff, error) {
	out, err := s.MailsOff(ctx, portal, token)
	if err != nil || out.Off {
		return out, err
	}
	now := s.clock.Now()
	var choices []models.NoticeChoice
	for _, e := range out.Events {
		choices = append(choices, models.NoticeChoice{AgencyID: out.Agency.ID, UserID: out.user, Event: e, Channel: models.ChannelMail})
	}
	out.Off = true
	return out, s.db.InTx(ctx, func(tx *gorm.DB) error {
		if err := choose(tx, choices); err != nil {
			return err
		}
		return s.audit(tx, out.Agency.ID, Actor("user:"+out.Email), "notices.off", out.user.String(), choiceWords(choices), "by the address in a mail", now)
	})
}

func choose(tx *gorm.DB, choices []models.NoticeChoice) error {
	return tx.Clauses(clause.OnConflict{
		Columns:   []clause.Column{{Name: "agency_id"}, {Name: "user_id"}, {Name: "event"}, {Name: "channel"}},
		DoUpdates: clause.AssignmentColumns([]string{"wanted"}),
	}).Create(&choices).Error
}

func choiceWords(choices []models.NoticeChoice) string {
	out := make([]string, len(choices))
	for i, c := range choices {
		word := "off"
		if c.Wanted {
			word = "on"
		}
		out[i] = fmt.Sprintf("%s by %s %s", c.Event, c.Channel, word)
	}
	return strings.Join(out, ", ")
}
