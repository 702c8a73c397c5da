package billing

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/argon2"

	"refill/billing/problem"
	"refill/models"
	"refill/models/modelstest"
)

const secret = "correct horse battery"

func (h *house) person(email, password string) models.User {
	h.t.Helper()
	u, err := h.s.CreateUser(h.t.Context(), UserInput{Email: email, Name: "Somebody", Password: password, By: "test"})
	require.NoError(h.t, err)
	return u
}

func TestPasswordsAreArgon2id(t *testing.T) {
	t.Parallel()
	h := newHouse(t, modelstest.OpenSQLite(t), "UTC", "")
	u := h.person("ana@example.test", secret)
	require.True(t, strings.HasPrefix(u.PasswordHash, "$argon2id$v=19$m=19456,t=2,p=1$"), u.PasswordHash)
	p, err := parsePHC(u.PasswordHash)
	require.NoError(t, err)
	require.Equal(t, argon2.IDKey([]byte(secret), p.salt, 2, 19*1024, 1, 32), p.key)
	require.Equal(t, u.PasswordHash, p.String())
	for _, bad := range []string{"", "plain", "$argon2i$v=19$m=1,t=1,p=1$AA$AA", "$argon2id$v=18$m=19456,t=2,p=1$AAAA$AAAA", "$argon2id$v=19$m=99999999,t=2,p=1$AAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA"} {
		_, err := parsePHC(bad)
		require.Error(t, err, bad)
	}
	for _, length := range []int{7, 129} {
		_, err := h.s.CreateUser(t.Context(), UserInput{Email: "b@example.test", Name: "B", Password: strings.Repeat("ä", length), By: "test"})
		require.True(t, problem.Is(err, "invalid_password"), "%d characters", length)
	}
	_, err = h.s.CreateUser(t.Context(), UserInput{Email: "Ana@Example.test ", Name: "Twin", Password: secret, By: "test"})
	require.True(t, problem.Is(err, "email_taken"))
	long := strings.Repeat("brücke wolke ", 9) + "ähren nelke"
	require.Len(t, []rune(long), 128)
	h.person("long@example.test", long)
	_, err = h.s.Authenticate(t.Context(), "long@example.test", long, "10.0.0.1")
	require.NoError(t, err)
}

// Passwords that leaked, rows of keys and the words of the person are refused;
// long, odd and unusual ones pass, whatever characters they are made of.
func TestPasswordsThatAreGuessedFirst(t *testing.T) {
	t.Parallel()
	h := newHouse(t, modelstest.OpenSQLite(t), "UTC", "")
	add := func(n int, password string) error {
		_, err := h.s.CreateUser(t.Context(), UserInput{Email: fmt.Sprintf("ana.lindqvist%d@harbour.example", n), Name: "Ana Lindqvist", Password: password, By: "test"})
		return err
	}
	weak := []string{
		"password", "Password1!", "12345678", "qwertyuiop", "iloveyou123", "letmein2024", "11111111", "aaaaaaaaaa",
		"refillrefill", "lindqvist1", "AnaLindqvist", "harbour2026",
	}
	for n, password := range weak {
		require.True(t, problem.Is(add(n, password), "invalid_password"), password)
	}
	for n, password := range []string{secret, "zK8#pQ2vLm", "drei grüne Kessel", "тихая зелёная вода", "a;l2k j3"} {
		require.NoError(t, add(100+n, password), password)
	}
}

// TestOldHashesAreRenewed signs in with a hash of other parameters.
func TestOldHashesAreRenewed(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		h := newHouse(t, db, "UTC", "")
		u := h.person("ana@example.test", secret)
		old := phc{memory: 8 * 1024, passes: 1, lanes: 1, salt: []byte("sixteen bytes it")}
		old.key = argon2.IDKey([]byte(secret), old.salt, old.passes, old.memory, old.lanes, 32)
		require.NoError(t, db.Write.Model(&models.User{}).Where("id = ?", u.ID).Update("password_hash", old.String()).Error)
		for range 2 {
			_, err := h.s.Authenticate(t.Context(), "ana@example.test", secret, "10.0.0.1")
			require.NoError(t, err)
		}
		require.NoError(t, db.Read.Take(&u, "id = ?", u.ID).Error)
		require.Contains(t, u.PasswordHash, "m=19456,t=2,p=1")
	})
}

// TestUnknownPeopleCostTheSameWork fills every place for hashing: who is known,
// who is not, who is disabled and who has no password all wait for one.
func TestUnknownPeopleCostTheSameWork(t *testing.T) {
	t.Parallel()
	h := newHouse(t, modelstest.OpenSQLite(t), "UTC", "")
	h.person("known@example.test", secret)
	h.person("by-link@example.test", "")
	gone := h.person("gone@example.test", secret)
	require.NoError(t, h.s.DisableUser(t.Context(), gone.ID, "test"))
	for range maxHashing {
		h.s.people.hashing <- struct{}{}
	}
	for _, email := range []string{"known@example.test", "nobody@example.test", "by-link@example.test", "gone@example.test"} {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		_, err := h.s.Authenticate(ctx, email, secret, "10.0.0.1")
		require.Error(t, err, email)
		require.Nil(t, problem.Of(err), "%s waits for its turn: no answer yet, whatever it would be", email)
		require.ErrorIs(t, ctx.Err(), context.DeadlineExceeded, email)
		cancel()
	}
	for range maxHashing {
		<-h.s.people.hashing
	}
	for _, email := range []string{"nobody@example.test", "by-link@example.test", "gone@example.test"} {
		_, err := h.s.Authenticate(t.Context(), email, secret, "10.0.0.1")
		require.True(t, problem.Is(err, "sign_in_failed"), email)
	}
	_, err := h.s.Authenticate(t.Context(), "by-link@example.test", "", "10.0.0.1")
	require.True(t, problem.Is(err, "sign_in_failed"), "no password is not an empty one")
}

// TestGuessesAreCountedBeforeTheyAreTried guesses from many places at once: no
// more than the limit of one e-mail is ever hashed.
func TestGuessesAreCountedBeforeTheyAreTried(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		h := newHouse(t, db, "UTC", "")
		var wait sync.WaitGroup
		var mu sync.Mutex
		tried := 0
		for range 40 {
			wait.Go(func() {
				_, err := h.s.Authenticate(t.Context(), "ana@example.test", "wrong horse", "2001:db8::1")
				mu.Lock()
				defer mu.Unlock()
				if problem.Is(err, "sign_in_failed") {
					tried++
				}
			})
		}
		wait.Wait()
		require.LessOrEqual(t, tried, maxPerPair)
		require.Positive(t, tried)
		_, err := h.s.Authenticate(t.Context(), "ana@example.test", "wrong horse", "2001:db8::ffff:2")
		require.True(t, problem.Is(err, "too_many"), "the same household")
		_, err = h.s.Authenticate(t.Context(), "ana@example.test", "wrong horse", "2001:db8:1::1")
		require.True(t, problem.Is(err, "sign_in_failed"), "another: its owner is not locked out")
	})
}

// TestLastUseOfALinkIsOne uses a link many times at once.
func TestLastUseOfALinkIsOne(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		h := newHouse(t, db, "UTC", "")
		u := h.person("ana@example.test", "")
		token, err := h.s.NewSignInLink(t.Context(), u.ID, time.Hour, 2)
		require.NoError(t, err)
		var wait sync.WaitGroup
		var mu sync.Mutex
		used := 0
		for range 8 {
			wait.Go(func() {
				got, _, err := h.s.UseSignInLink(t.Context(), token)
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					used++
					require.Equal(t, u.ID, got.ID)
				}
			})
		}
		wait.Wait()
		require.Equal(t, 2, used)
		var rows []models.SignInLink
		require.NoError(t, db.Read.Find(&rows).Error)
		require.NotContains(t, string(rows[0].TokenHash), token, "only its hash is kept")
	})
}

func TestMembersHaveOneDoor(t *testing.T) {
	t.Parallel()
	h := newHouse(t, modelstest.OpenSQLite(t), "UTC", "")
	ctx := t.Context()
	acme := h.client("acme", models.Prepaid, "")
	u := h.person("ana@example.test", "")
	for _, in := range []MemberInput{
		{Agency: h.agency.ID, User: u.ID, Role: "king", By: "test"},
		{Agency: h.agency.ID, User: u.ID, Role: models.RoleClient, By: "test"},
		{Agency: h.agency.ID, User: u.ID, Role: models.RoleOwner, SubAccount: acme.SubAccount.ID, By: "test"},
	} {
		require.True(t, problem.Is(h.s.AddMember(ctx, in), "invalid_role"), "%v", in.Role)
	}
	_, err := h.s.Viewer(ctx, u.ID, models.AgencyID{})
	require.True(t, problem.Is(err, "no_entry"))
	in := MemberInput{Agency: h.agency.ID, User: u.ID, Role: models.RoleClient, SubAccount: acme.SubAccount.ID, By: "test"}
	require.NoError(t, h.s.AddMember(ctx, in))
	require.True(t, problem.Is(h.s.AddMember(ctx, in), "already_member"))
	_, err = h.s.Viewer(ctx, u.ID, models.AgencyID{})
	require.True(t, problem.Is(err, "no_entry"), "a client has no door at the platform")
	v, err := h.s.Viewer(ctx, u.ID, h.agency.ID)
	require.NoError(t, err)
	require.Equal(t, acme.Wallet, v.Account().Wallet)
	portal, err := h.s.PortalOf(ctx, u.ID)
	require.NoError(t, err)
	require.Equal(t, h.agency.ID, portal.ID)

	require.NoError(t, h.db.Write.Model(&models.Agency{}).Where("id = ?", h.agency.ID).Update("status", models.AgencySuspended).Error)
	v, err = h.s.Viewer(ctx, u.ID, h.agency.ID)
	require.NoError(t, err, "a paused agency's people come in and read why")
	require.Equal(t, models.AgencySuspended, v.Agency.Status)
}

func TestOutlookProjectsTheCycle(t *testing.T) {
	t.Parallel()
	h := newHouse(t, modelstest.OpenSQLite(t), "UTC", "")
	out, err := h.s.Outlook(t.Context(), h.own, 0)
	require.NoError(t, err)
	require.Equal(t, ForecastNoData, out.Forecast.Kind)
	require.Zero(t, out.Projected, "nothing is known yet")
}
