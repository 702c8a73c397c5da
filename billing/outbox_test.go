package billing

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"refill/billing/mail"
	"refill/billing/problem"
	"refill/models"
	"refill/models/modelstest"
)

// tray is a mail server in a test: it keeps what it takes and fails as told.
type tray struct {
	mu   sync.Mutex
	got  []mail.Message
	fail func(m *mail.Message) error
}

func (r *tray) Send(_ context.Context, m mail.Message) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fail != nil {
		if err := r.fail(&m); err != nil {
			return err
		}
	}
	r.got = append(r.got, m)
	return nil
}

func (r *tray) failing(f func(m *mail.Message) error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fail = f
}

// to are the subjects that came for an address, in their order.
func (r *tray) to(address string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []string
	for i := range r.got {
		if r.got[i].To == address {
			out = append(out, r.got[i].Subject)
		}
	}
	return out
}

var linkIn = regexp.MustCompile(`https?://\S+`)

// link is the address in the last mail to somebody.
func (r *tray) link(t testing.TB, address string) string {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range slices.Backward(r.got) {
		if m.To == address {
			return linkIn.FindString(m.Text)
		}
	}
	t.Fatalf("no mail for %s", address)
	return ""
}

func token(link string) string { return link[strings.LastIndex(link, "/")+1:] }

// post is a house with a mail server and a wall clock of its own.
type post struct {
	*house
	tray *tray
	wall atomic.Int64
}

func newPost(t *testing.T, db *models.DB) *post {
	t.Helper()
	p := &post{house: newHouse(t, db, "UTC", ""), tray: &tray{}}
	p.wall.Store(int64(readsStart))
	p.s.people.wall = models.ClockFunc(func() models.Time { return models.Time(p.wall.Load()) })
	p.s.post.mailer = p.tray
	p.s.base.Scheme, p.s.base.Host, p.s.portalDomain = "https", "credits.test", "credits.test"
	return p
}

func (p *post) later(d time.Duration) { p.wall.Add(d.Microseconds()) }

// write queues a plain mail.
func (p *post) write(to, subject string) {
	p.t.Helper()
	require.NoError(p.t, p.db.Write.Transaction(func(tx *gorm.DB) error { return p.writeIn(tx, to, subject) }))
}

func (p *post) writeIn(tx *gorm.DB, to, subject string) error {
	return p.s.postMail(tx, envelope{kind: models.MailInvitation, to: to, life: InvitationLife}, &mail.Letter{Brand: "Northwind", Subject: subject, URL: "https://credits.test/x"}, p.s.Now())
}

func (p *post) send() {
	p.t.Helper()
	require.NoError(p.t, p.s.SendMails(p.t.Context()))
}

func (p *post) mails() []models.Mail {
	p.t.Helper()
	var out []models.Mail
	require.NoError(p.t, p.db.Read.Order("id").Find(&out).Error)
	return out
}

// A mail exists exactly when the transaction that causes it does (I-27).
func TestMailsComeFromCommits(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		p := newPost(t, db)
		undone := errors.New("undone")
		require.ErrorIs(t, p.s.db.InTx(t.Context(), func(tx *gorm.DB) error {
			require.NoError(t, p.writeIn(tx, "ana@example.test", "never"))
			return undone
		}), undone)
		p.send()
		require.Empty(t, p.mails())
		p.write("ana@example.test", "one")
		require.Empty(t, p.tray.got, "nothing leaves by itself")
		p.send()
		p.send()
		require.Equal(t, []string{"one"}, p.tray.to("ana@example.test"))
		row := p.mails()[0]
		require.Equal(t, models.MailSent, row.State)
		require.Empty(t, row.Text+row.HTML, "what a link in it opens is not kept")
	})
}

// An invitation that fails sends nothing.
func TestNoInvitationNoMail(t *testing.T) {
	t.Parallel()
	p := newPost(t, modelstest.OpenSQLite(t))
	_, err := p.s.Invite(t.Context(), InviteInput{
		Circle: Circle{Agency: p.agency.ID, SubAccount: models.NewID[models.SubAccountID](1)}, Email: "ana@example.test", From: "owner@example.test", By: "test",
	})
	require.True(t, problem.Is(err, "not_found"))
	require.Empty(t, p.mails())
	var n int64
	require.NoError(t, p.db.Read.Model(&models.Invitation{}).Count(&n).Error)
	require.Zero(t, n)
}

// A sender that dies between claiming a mail and booking it leaves it to the next
// one: once its lease is over.
func TestALostSenderLosesNoMail(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		p := newPost(t, db)
		p.write("ana@example.test", "one")
		p.write("ana@example.test", "two")
		row := p.mails()[0]
		r := db.Write.Model(&models.Mail{}).Where("id = ?", row.ID).Updates(map[string]any{"next_at": row.NextAt.Add(sendLease), "attempts": 1})
		require.NoError(t, r.Error) // as the one who died left it
		p.send()
		require.Empty(t, p.tray.got, "the lease holds, and the second waits for the first")
		p.later(sendLease)
		p.send()
		require.Equal(t, []string{"one", "two"}, p.tray.to("ana@example.test"))
	})
}

func TestMailsAreTriedAgainInOrder(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		p := newPost(t, db)
		for i := range 3 {
			p.write("slow@example.test", strconv.Itoa(i))
			p.write("ben@example.test", strconv.Itoa(i))
		}
		p.tray.failing(func(m *mail.Message) error {
			if m.To == "slow@example.test" {
				return errors.New("451 try later")
			}
			return nil
		})
		p.send()
		require.Equal(t, []string{"0", "1", "2"}, p.tray.to("ben@example.test"), "one address holds up nobody else")
		require.Empty(t, p.tray.to("slow@example.test"))
		p.tray.failing(nil)
		p.send()
		require.Empty(t, p.tray.to("slow@example.test"), "not before its time")
		p.later(mailSoonest)
		p.send()
		require.Equal(t, []string{"0", "1", "2"}, p.tray.to("slow@example.test"))
	})
}

func TestMailsAreGivenUp(t *testing.T) {
	t.Parallel()
	p := newPost(t, modelstest.OpenSQLite(t))
	tries := map[string]int{}
	p.tray.failing(func(m *mail.Message) error {
		tries[m.Subject]++
		if m.Subject == "refused" {
			return fmt.Errorf("%w: nobody here", mail.ErrRefused)
		}
		return errors.New("451 try later")
	})
	p.write("ana@example.test", "refused")
	p.write("ana@example.test", "tiresome")
	for range 3 * mailTries {
		p.send()
		p.later(mailLatest)
	}
	require.Equal(t, map[string]int{"refused": 1, "tiresome": mailTries}, tries)
	for _, m := range p.mails() {
		require.Equal(t, models.MailDead, m.State, m.Subject)
		require.NotEmpty(t, m.Note)
	}
	standing, err := p.s.MailStanding(t.Context())
	require.NoError(t, err)
	require.Equal(t, MailStanding{Ready: true, Dead: 2}, standing)
}

// A server that is away costs no mail its tries, and is not asked every second.
func TestAServerThatIsAwayIsLeftAlone(t *testing.T) {
	t.Parallel()
	p := newPost(t, modelstest.OpenSQLite(t))
	asked := 0
	p.tray.failing(func(*mail.Message) error {
		asked++
		return fmt.Errorf("%w: connection refused", mail.ErrUnreachable)
	})
	for i := range 20 {
		p.write(fmt.Sprintf("%d@example.test", i), "hello")
	}
	for range 3600 {
		p.send()
		p.later(time.Second)
	}
	require.Less(t, asked, 25)
	require.Greater(t, asked, 12)
	standing, err := p.s.MailStanding(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 20, standing.Queued)
	require.Contains(t, standing.Trouble, "connection refused")
	for _, m := range p.mails() {
		require.Zero(t, m.Attempts)
	}
	p.tray.failing(nil)
	p.later(mailPatience)
	p.send()
	require.Len(t, p.tray.got, 20)
	standing, err = p.s.MailStanding(t.Context())
	require.NoError(t, err)
	require.Empty(t, standing.Trouble)
}

// Two processes on one database send each mail once between them.
func TestTwoSendersShareTheWork(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		p := newPost(t, db)
		for i := range 30 {
			p.write(fmt.Sprintf("%d@example.test", i%10), strconv.Itoa(i/10))
		}
		var wait sync.WaitGroup
		for range 4 {
			wait.Go(func() {
				for range 20 {
					if err := p.s.SendMails(t.Context()); err != nil {
						t.Errorf("send: %v", err)
					}
				}
			})
		}
		wait.Wait()
		require.Len(t, p.tray.got, 30)
		for i := range 10 {
			require.Equal(t, []string{"0", "1", "2"}, p.tray.to(fmt.Sprintf("%d@example.test", i)))
		}
	})
}

// The worker sends as soon as it is woken, and the tick wakes it.
func TestTheTickWakesTheWorker(t *testing.T) {
	t.Parallel()
	p := newPost(t, modelstest.OpenSQLite(t))
	sent := make(chan string, 1)
	p.tray.failing(func(m *mail.Message) error { sent <- m.Subject; return nil })
	p.write("ana@example.test", "hello")
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); p.s.WorkMails(ctx) }()
	require.NoError(t, p.s.RunDue(t.Context(), p.s.Now()))
	require.Equal(t, "hello", <-sent)
	stop()
	<-done
	require.Equal(t, models.MailSent, p.mails()[0].State, "what was begun is finished")
}

func TestWithoutAServerMailsWait(t *testing.T) {
	t.Parallel()
	p := newPost(t, modelstest.OpenSQLite(t))
	p.s.post.mailer = nil
	p.write("ana@example.test", "hello")
	p.send()
	standing, err := p.s.MailStanding(t.Context())
	require.NoError(t, err)
	require.Equal(t, MailStanding{Queued: 1}, standing)
	require.True(t, problem.Is(p.s.RequestSignInLink(t.Context(), "ana@example.test", models.AgencyID{}, "10.0.0.1"), "mail_unavailable"))
	p.s.post.mailer = p.tray
	p.send()
	require.Equal(t, []string{"hello"}, p.tray.to("ana@example.test"))
}

func TestMailsAreForgotten(t *testing.T) {
	t.Parallel()
	p := newPost(t, modelstest.OpenSQLite(t))
	p.write("ana@example.test", "old")
	p.send()
	p.later(mailKept - time.Hour)
	require.NoError(t, p.s.SweepSignIns(t.Context()))
	require.Len(t, p.mails(), 1)
	p.later(time.Hour)
	require.NoError(t, p.s.SweepSignIns(t.Context()))
	require.Empty(t, p.mails())
}

// TestMailedLinks asks for links at both doors, for everybody there is.
func TestMailedLinks(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		p := newPost(t, db)
		ctx := t.Context()
		acme := p.client("acme", models.Prepaid, "")
		owner, client := p.person("owner@example.test", ""), p.person("client@example.test", "")
		gone := p.person("gone@example.test", "")
		for _, m := range []MemberInput{
			{User: owner.ID, Role: models.RoleOwner},
			{User: gone.ID, Role: models.RoleMember},
			{User: client.ID, Role: models.RoleClient, SubAccount: acme.SubAccount.ID},
		} {
			m.Agency, m.By = p.agency.ID, "test"
			require.NoError(t, p.s.AddMember(ctx, m))
		}
		require.NoError(t, p.s.DisableUser(ctx, gone.ID, "test"))
		portal, platform := p.agency.ID, models.AgencyID{}
		for _, c := range []struct {
			email string
			door  models.AgencyID
			link  string // what the mail's address begins with; "" no mail
			from  string
		}{
			{"owner@example.test", platform, "https://credits.test/sign-in/", "Refill"},
			{"client@example.test", portal, "https://northwind.credits.test/sign-in/", "Northwind"},
			{"client@example.test", platform, "https://northwind.credits.test/sign-in/", "Northwind"},
			{"owner@example.test", portal, "", ""},
			{"gone@example.test", platform, "", ""},
			{"nobody@example.test", platform, "", ""},
			{"nobody@example.test", portal, "", ""},
		} {
			p.tray.got = nil
			require.NoError(t, p.s.RequestSignInLink(ctx, " "+strings.ToUpper(c.email), c.door, "10.0.0.1"), "%s is answered alike", c.email)
			p.send()
			if c.link == "" {
				require.Empty(t, p.tray.got, c.email)
				continue
			}
			require.Len(t, p.tray.got, 1, c.email)
			require.Equal(t, c.from, p.tray.got[0].FromName)
			require.True(t, strings.HasPrefix(p.tray.link(t, c.email), c.link), p.tray.got[0].Text)
			if c.from != "Refill" {
				require.NotContains(t, strings.ToLower(fmt.Sprint(p.tray.got[0])), "refill")
			}
		}
		rows := p.mails()
		require.Len(t, rows, 7)
		for _, m := range rows {
			require.NotEqual(t, models.MailQueued, m.State)
			require.Empty(t, m.Text, "no link rests in the outbox")
		}
	})
}

func TestAMailedLinkHoldsOnceAndBriefly(t *testing.T) {
	t.Parallel()
	p := newPost(t, modelstest.OpenSQLite(t))
	ctx := t.Context()
	owner := p.person("owner@example.test", secret)
	require.NoError(t, p.s.AddMember(ctx, MemberInput{Agency: p.agency.ID, User: owner.ID, Role: models.RoleOwner, By: "test"}))
	printed, err := p.s.NewSignInLink(ctx, owner.ID, 24*time.Hour, 10)
	require.NoError(t, err)
	ask := func() string {
		require.NoError(t, p.s.RequestSignInLink(ctx, "owner@example.test", models.AgencyID{}, "10.0.0.1"))
		p.send()
		return token(p.tray.link(t, "owner@example.test"))
	}
	opens := func(link string) bool {
		offer, err := p.s.SignInLinkAt(ctx, link, models.AgencyID{})
		require.True(t, err == nil || problem.Is(err, "link_expired"))
		return err == nil && offer.User.ID == owner.ID
	}
	first := ask()
	require.True(t, opens(first))
	second := ask()
	require.False(t, opens(first), "a newer one replaces it")
	_, _, err = p.s.UseSignInLink(ctx, second)
	require.NoError(t, err)
	require.False(t, opens(second))
	third := ask()
	p.later(MailedLinkLife)
	require.False(t, opens(third))
	fourth := ask()
	require.NoError(t, p.s.SetPassword(ctx, owner.ID, secret, "test"))
	require.False(t, opens(fourth), "a new password ends what was mailed before")
	require.True(t, opens(printed), "links that were not mailed stay")

	p.send() // that the password was changed
	// One that nobody could send in time is not sent later.
	require.NoError(t, p.s.RequestSignInLink(ctx, "owner@example.test", models.AgencyID{}, "10.0.0.1"))
	p.tray.got = nil
	p.later(MailedLinkLife)
	p.send()
	require.Empty(t, p.tray.got)
}

// TestLinksAreRationed counts known and unknown addresses alike, and apart from
// passwords.
func TestLinksAreRationed(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		p := newPost(t, db)
		ctx := t.Context()
		owner := p.person("owner@example.test", secret)
		require.NoError(t, p.s.AddMember(ctx, MemberInput{Agency: p.agency.ID, User: owner.ID, Role: models.RoleOwner, By: "test"}))
		for _, email := range []string{"owner@example.test", "nobody@example.test"} {
			for range maxLinksPerPair {
				require.NoError(t, p.s.RequestSignInLink(ctx, email, models.AgencyID{}, "10.0.0.1"))
			}
			require.True(t, problem.Is(p.s.RequestSignInLink(ctx, email, models.AgencyID{}, "10.0.0.1"), "too_many"), email)
			require.NoError(t, p.s.RequestSignInLink(ctx, email, models.AgencyID{}, "10.0.0.2"), "%s from elsewhere", email)
		}
		_, err := p.s.Authenticate(ctx, "owner@example.test", secret, "10.0.0.1")
		require.NoError(t, err, "who mails somebody links does not lock them out")
		require.True(t, problem.Is(p.s.RequestSignInLink(ctx, "no address", models.AgencyID{}, "10.0.0.3"), "invalid_email"))
	})
}

// The request writes the same for everybody: what differs is done by the worker.
func TestARequestTellsNothingByItsWork(t *testing.T) {
	t.Parallel()
	p := newPost(t, modelstest.OpenSQLite(t))
	ctx := t.Context()
	owner := p.person("owner@example.test", "")
	require.NoError(t, p.s.AddMember(ctx, MemberInput{Agency: p.agency.ID, User: owner.ID, Role: models.RoleOwner, By: "test"}))
	var statements atomic.Int64
	count := func(*gorm.DB) { statements.Add(1) }
	for _, db := range []*gorm.DB{p.db.Read, p.db.Write} {
		require.NoError(t, db.Callback().Query().Before("gorm:query").Register("count", count))
		require.NoError(t, db.Callback().Create().Before("gorm:create").Register("count", count))
		require.NoError(t, db.Callback().Update().Before("gorm:update").Register("count", count))
		require.NoError(t, db.Callback().Raw().Before("gorm:raw").Register("count", count))
	}
	work := func(email, address string) int64 {
		before := statements.Load()
		require.NoError(t, p.s.RequestSignInLink(ctx, email, models.AgencyID{}, address))
		return statements.Load() - before
	}
	known := work("owner@example.test", "10.0.0.1")
	require.Positive(t, known)
	require.Equal(t, known, work("nobody@example.test", "10.0.0.2"))
}
